"""The service's log: a line for each event, whoever chose what stands in it."""

import json
import logging
from collections.abc import Callable

import pytest

from cli.logs import LONGEST, Form, formatter

EVIL = "bob\n2026-01-01T00:00:00Z INFO root: alice signed in\r\x1b[2J\x9b0m\u2028\u202e\ud800"


def line(form: Form, message: str, *words: object, timed: bool = False, **extra: object) -> str:
    """What a call of `logging` becomes."""
    record = logging.LogRecord("bastion.outer", logging.INFO, __file__, 1, message, words, None)
    record.__dict__.update(extra)
    return formatter("worker 1", form, timed=timed).format(record)


def failed(form: Form, act: Callable[[], object]) -> str:
    """What `log.exception` makes of it."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - to be logged
        about = (type(error), error, error.__traceback__)
        record = logging.LogRecord("bastion.crew", logging.ERROR, __file__, 1, "no", (), about)
        return formatter("", form, timed=False).format(record)
    raise AssertionError("it did not fail")


def test_people_read_when_who_and_what() -> None:
    """In the journal without the time, as it has its own."""
    assert line("people", "%s signed in", "bob") == "worker 1 INFO bastion.outer: bob signed in"
    timed = line("people", "%s signed in", "bob", timed=True, source="192.0.2.7")
    time, _, rest = timed.partition(" ")
    assert time.endswith("Z")
    assert rest == "worker 1 INFO bastion.outer: bob signed in source=192.0.2.7"


def test_programs_read_json() -> None:
    """With the time in any case, and what the call gave beside."""
    read = json.loads(line("json", "%s signed in", "bob", source="192.0.2.7"))
    assert read.pop("timestamp").endswith("Z")
    assert read == {
        "process": "worker 1",
        "level": "info",
        "logger": "bastion.outer",
        "event": "bob signed in",
        "source": "192.0.2.7",
    }


@pytest.mark.parametrize("form", ["people", "json"])
def test_what_strangers_chose_stays_in_its_line(form: Form) -> None:
    """No line break, no escape, nothing that turns the direction: in the event or in a field."""
    for said in (line(form, "%s signed in", EVIL), line(form, "signed in", user=EVIL)):
        assert said.isprintable()
        assert len(said.splitlines()) == 1
    assert json.loads(line("json", "%s", EVIL))["event"] == EVIL


@pytest.mark.parametrize("form", ["people", "json"])
def test_what_is_long_is_cut(form: Form) -> None:
    """A line has an end."""
    assert len(line(form, "%s", "x" * 10 * LONGEST)) < 2 * LONGEST


def test_a_traceback_is_marked_as_one() -> None:
    """Its own message can't look like an event; as JSON it is a field."""

    def fail() -> None:
        raise ValueError(EVIL)

    first, *trace = failed("people", fail).split("\n")
    assert first == "ERROR bastion.crew: no"
    assert all(each.startswith("    | ") and each.isprintable() for each in trace)
    assert "ValueError: bob" in "".join(trace)
    said = failed("json", fail)
    assert len(said.splitlines()) == 1
    assert "ValueError: bob" in json.loads(said)["exception"]
