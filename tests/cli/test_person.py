"""The person a verb works for: at this machine's terminal, over SSH, or nobody."""

import io
import os
import pty
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import pytest

from bastion.errors import Refused
from cli.person import LONGEST, AtTerminal, Nobody, SignedIn, of_process
from tests.cli.desks import Caller


@pytest.fixture
def tty() -> Iterator[tuple[TextIO, int]]:
    """A terminal, and the other side of it, where one types."""
    typing, terminal = pty.openpty()
    with open(terminal, encoding="utf-8", errors="replace") as stdin:  # noqa: PTH123 (a descriptor)
        yield stdin, typing
    with suppress(OSError):
        os.close(typing)


def test_a_line_is_asked_for_at_the_terminal(tty: tuple[TextIO, int]) -> None:
    """The question is shown, and the answer is what prints of the line."""
    stdin, typing = tty
    shown: list[str] = []
    os.write(typing, "disk\tis füll\a 漢\n".encode())
    assert AtTerminal(stdin, shown.append).ask("Reason: ") == "disk is füll 漢"
    assert shown == ["Reason: "]


def test_ctrl_d_and_silence_are_no_answer(tty: tuple[TextIO, int]) -> None:
    """And the next line begins where it should."""
    stdin, typing = tty
    shown: list[str] = []
    os.write(typing, b"\x04")
    assert AtTerminal(stdin, shown.append).ask("Reason: ") is None
    assert AtTerminal(stdin, shown.append, patience=0.01).ask("Ticket: ") is None
    assert shown == ["Reason: ", "\n", "Ticket: ", "\n"]


def test_ctrl_c_is_no_answer(tty: tuple[TextIO, int]) -> None:
    """The verb goes on, and decides what that means."""
    stdin, _ = tty
    shown: list[str] = []
    main = threading.main_thread().ident
    assert main is not None
    later = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
    later.start()
    assert AtTerminal(stdin, shown.append).ask("Reason: ") is None
    later.join()
    assert shown == ["Reason: ", "\n"]


def test_an_answer_that_is_too_long_is_asked_for_again(tty: tuple[TextIO, int]) -> None:
    """It is not cut: what would be kept is not what was meant."""
    stdin, typing = tty
    shown: list[str] = []
    os.write(typing, b"x" * (LONGEST + 1) + b"\nshort\n")
    assert AtTerminal(stdin, shown.append).ask("Reason: ") == "short"
    assert shown == ["Reason: ", f"At most {LONGEST} characters, please.\n", "Reason: "]


def test_nobody_is_asked_without_a_terminal(tty: tuple[TextIO, int]) -> None:
    """A pipe, nothing, and a terminal."""
    closed = io.StringIO()
    closed.close()
    for stdin in (io.StringIO("an answer\n"), closed):
        nobody = of_process(print, stdin)
        assert not nobody.can_ask
        assert nobody.ask("Reason: ") is None
    assert of_process(print, tty[0]).can_ask
    assert Nobody().line is None
    assert not Nobody().gone()


class Patient(Caller):
    """Waits, and nothing happens meanwhile."""

    def pause(self, seconds: float) -> None:
        """Time flies."""
        self.waited += seconds


def test_who_waited_is_asked_who_she_is_by_now() -> None:
    """After a wait and after an answer: a role may have been taken away meanwhile."""
    asked = []

    def demand() -> None:
        asked.append("who")
        if len(asked) > 2:
            raise Refused("Your roles have changed meanwhile: run it again.")

    caller = Patient("request web-1", terminal=True, answers=["OPS-1"])
    person = SignedIn(caller, demand)
    assert person.line == "request web-1"
    assert person.ask("Ticket: ") == "OPS-1"
    person.pause(2.5)
    assert caller.waited == 2.5
    with pytest.raises(Refused, match="roles have changed"):
        person.pause(1)


def test_within_long_work_it_is_not_asked_all_the_time_who_somebody_is() -> None:
    """Twice a second, whatever the work is made of; a real pause is always asked after."""
    asked: list[float] = []
    now = [0.0]
    person = SignedIn(Caller("x"), lambda: asked.append(now[0]), lambda: now[0])
    for step in range(101):
        now[0] = step / 100
        person.breathe()
        person.pause(0.01)
        person.key(0.01)
    assert asked == [0.5, 1.0]
    person.pause(1)
    person.ask("?")
    assert asked == [0.5, 1.0, 1.0, 1.0]
