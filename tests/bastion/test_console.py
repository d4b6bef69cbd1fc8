"""The control plane's channel, by the real ssh: words in, output out, questions in between."""

import asyncio
import os
import resource
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import asyncssh
import pytest

from bastion.console import LONGEST_LINE, Patience
from bastion.control import Voice
from bastion.workers import Room
from tests.bastion.consoles import control_plane
from tests.corpus.world import until

MEGABYTE = 1024 * 1024
AT_ONCE = 0.2
"""Seconds in which a verb that waits hears that it is over."""


def tell_words(voice: Voice, words: Sequence[str]) -> int:
    """A line for each word."""
    for word in words:
        voice.out(f"<{word}>\n")
    voice.err(f"{len(words)} words\n")
    return 7


def ask_twice(voice: Voice, _: Sequence[str]) -> int:
    """Two questions; the answers are repeated."""
    voice.out(f"can ask: {voice.can_ask}\n")
    for prompt in ("Reason: ", "Ticket: "):
        voice.out(f"answer {voice.ask(prompt)!r}\n")
    return 0


def wait(voice: Voice, _: Sequence[str]) -> int:
    """Waits until it is told to end."""
    voice.out("waiting\n")
    while True:
        voice.pause(60)


def tell_keys(voice: Voice, _: Sequence[str]) -> int:
    """Each key as it is typed, until q."""
    voice.out("keys, please\n")
    while (key := voice.key(0.05)) != "q":
        if key is not None:
            voice.out(f"<{key!a}>")
    return 0


def tell_taken(voice: Voice, words: Sequence[str]) -> int:
    """So many megabytes, and whether they have been taken, until the words that follow."""
    for _ in range(int(words[0])):
        voice.data(bytes(MEGABYTE))
    TAKEN.append(voice.taken)
    while not voice.taken:
        voice.pause(0.02)
    TAKEN.append(voice.taken)
    return 0


TAKEN: list[bool] = []


def tell_answers(voice: Voice, _: Sequence[str]) -> int:
    """Whether the client answers, each time that it changes."""
    while True:
        if not ANSWERS or ANSWERS[-1] != voice.answers:
            ANSWERS.append(voice.answers)
        voice.pause(0.02)


ANSWERS: list[bool] = []


def flood(voice: Voice, words: Sequence[str]) -> int:
    """So many megabytes of bytes."""
    piece = os.urandom(MEGABYTE)
    for _ in range(int(words[0])):
        voice.data(piece)
    return 0


def lines_for_ever(voice: Voice, _: Sequence[str]) -> int:
    """Text without an end."""
    while True:
        voice.out("the same again\n" * 100)


def tell_columns(voice: Voice, _: Sequence[str]) -> int:
    """The width of the terminal, whenever it changes."""
    told = 0
    while True:
        if voice.columns() != told:
            told = voice.columns()
            voice.out(f"columns {told} colour {voice.colour}\n")
        voice.pause(0.02)


def raise_mistake(voice: Voice, _: Sequence[str]) -> int:
    """What nobody expected."""
    raise RuntimeError("a mistake of the test")


ACTS = {
    "words": tell_words,
    "ask": ask_twice,
    "wait": wait,
    "flood": flood,
    "keys": tell_keys,
    "taken": tell_taken,
    "answers": tell_answers,
    "lines": lines_for_ever,
    "columns": tell_columns,
    "mistake": raise_mistake,
}


# Words


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("it's", "the dogs'", "--", "can't"), "it's|the|dogs'|--|can't"),
        (("--reason", "disk is full", "--", "ls -l"), "--reason|disk|is|full|--|ls|-l"),
        (("--reason", "'disk is full'"), "--reason|disk is full"),
        (("--", "psql", "-c", "\"select 'x", "y"), "--|psql|-c|\"select|'x|y"),
        (("--", "echo 'a b' é漢"), "--|echo|a b|é漢"),
    ],
)
async def test_no_word_is_lost(tmp_path: Path, typed: tuple[str, ...], words: str) -> None:
    """What the real ssh makes of quotes: apostrophes are plain, what is quoted twice is kept."""
    async with control_plane(tmp_path, ACTS) as bastion:
        said = await bastion("words", *typed)
    assert said.out == "".join(f"<{word}>\n" for word in words.split("|"))
    assert said.err == f"{len(words.split('|'))} words\n"
    assert said.status == 7
    assert bastion.script.lines == [" ".join(("words", *typed))]


async def test_a_line_that_is_too_long_or_no_text_is_refused(tmp_path: Path) -> None:
    """A sentence, status 2, and no verb has seen it."""
    async with control_plane(tmp_path, ACTS) as bastion:
        long = await bastion("words", "é" * (LONGEST_LINE // 2))
        odd = await bastion("words", os.fsdecode(b"\xff\xfe"))
    assert (long.status, long.err) == (2, f"bastion: at most {LONGEST_LINE} bytes are read.\n")
    assert (odd.status, odd.err) == (2, "bastion: what you typed is not UTF-8 text.\n")
    assert bastion.script.lines == []


async def test_a_mistake_is_a_sentence(tmp_path: Path) -> None:
    """The traceback is for the log; the next verb runs as ever."""
    async with control_plane(tmp_path, ACTS) as bastion:
        wrong = await bastion("mistake")
        right = await bastion("words", "on")
    assert (wrong.status, wrong.err) == (
        1,
        "bastion: something went wrong; it has been logged.\n",
    )
    assert right.out == "<on>\n"


# Asking


async def test_a_question_is_answered_at_a_terminal(tmp_path: Path) -> None:
    """With what is typed, edited and shown: wide letters, backspace and ctrl-u."""
    async with control_plane(tmp_path, ACTS) as bastion, bastion.terminal("ask") as terminal:
        await terminal.expect("can ask: True\r\nReason: ")
        terminal.send("wrong\x15Größe 漢x")
        await terminal.expect("漢x")
        terminal.send("\x7f\x7f字\r")
        await terminal.expect("\b \b\b \b\b \b字\r\nanswer 'Größe 字'\r\nTicket: ")
        terminal.send("OPS-1\r")
        await terminal.expect("OPS-1\r\nanswer 'OPS-1'\r\n")
        assert await terminal.wait() == 0


async def test_ctrl_c_and_ctrl_d_are_no_answer(tmp_path: Path) -> None:
    """The verb decides what that means; here it asks the next question."""
    async with control_plane(tmp_path, ACTS) as bastion, bastion.terminal("ask") as terminal:
        await terminal.expect("Reason: ")
        terminal.send("some\x03")
        await terminal.expect(r"some\^C\r\nanswer None\r\nTicket: ")
        terminal.send("\x04")
        await terminal.expect("\r\nanswer None\r\n")
        assert await terminal.wait() == 0


async def test_what_is_pasted_answers_several_questions(tmp_path: Path) -> None:
    """Typed before the question is there, and shown when it is."""
    async with control_plane(tmp_path, ACTS) as bastion, bastion.terminal("ask") as terminal:
        await terminal.expect("Reason: ")
        terminal.send("disk full\rOPS-2\r")
        await terminal.expect("disk full\r\nanswer 'disk full'\r\nTicket: OPS-2\r\n")
        assert await terminal.wait() == 0


async def test_silence_is_no_answer(tmp_path: Path) -> None:
    """After its time the question is withdrawn; what is typed then is for the next one."""
    patience = Patience(answer=0.3)
    async with (
        control_plane(tmp_path, ACTS, patience=patience) as bastion,
        bastion.terminal("ask") as terminal,
    ):
        await terminal.expect("Reason: \r\nanswer None\r\nTicket: ")
        terminal.send("there\r")
        await terminal.expect("answer 'there'")
        assert await terminal.wait() == 0


async def test_keys_come_one_by_one(tmp_path: Path) -> None:
    """Those that were typed ahead too; nothing is echoed, and ctrl-c is what it always is."""
    async with control_plane(tmp_path, ACTS) as bastion:
        async with bastion.terminal("keys") as terminal:
            terminal.send("a.")
            await terminal.expect("keys, please\r\n<'a'><'.'>")
            terminal.send(" \x1b[Cé\x04")
            await terminal.expect(r"<' '><'\\x1b'><'\['><'C'><'\\xe9'><'\\x04'>")
            terminal.send("q")
            assert await terminal.wait() == 0
        async with bastion.terminal("keys") as terminal:
            await terminal.expect("keys, please")
            terminal.send("\x03")
            assert await terminal.wait() == 130
        assert bastion.script.ended == ["returned", "KeyboardInterrupt"]


async def test_a_verb_knows_whether_it_was_heard(tmp_path: Path) -> None:
    """What stands in the way of a reader that does nothing has not been taken."""
    TAKEN.clear()
    async with (
        control_plane(tmp_path, ACTS) as bastion,
        bastion.stalled("taken", "8") as stalled,
    ):
        left = 8 * MEGABYTE
        while not TAKEN:
            left -= len(await stalled.read(16 * 1024))
        assert TAKEN == [False]
        while left:
            left -= len(await stalled.read())
        await until(lambda: TAKEN == [False, True])
        assert await stalled.wait() == 0


async def test_a_verb_knows_whether_the_client_is_there(tmp_path: Path) -> None:
    """One that was stopped closes nothing; it is missed all the same, until it answers again."""
    ANSWERS.clear()
    async with control_plane(tmp_path, ACTS) as bastion, bastion.going("answers") as going:
        await until(lambda: ANSWERS == [False, True])
        going.signal(signal.SIGSTOP)
        await until(lambda: ANSWERS == [False, True, False])
        going.signal(signal.SIGCONT)
        await until(lambda: ANSWERS == [False, True, False, True])
    await until(lambda: bastion.script.ended == ["BrokenPipeError"])


async def test_without_a_terminal_nothing_is_asked(tmp_path: Path) -> None:
    """Whatever comes by stdin; and a terminal whose stdin has ended asks and hears nothing."""
    async with control_plane(tmp_path, ACTS) as bastion:
        piped = await bastion("ask", stdin=b"an answer\n")
        assert piped.out == "can ask: False\nanswer None\nanswer None\n"
        ended = await bastion.alice.ssh("-tt", "bastion", "ask", stdin=None)
        assert ended.out.count("answer None") == 2
        typed = await bastion.alice.ssh("-tt", "bastion", "ask", stdin=b"one\rtwo")
        assert "answer 'one'" in typed.out
        assert "answer 'two'" in typed.out


# Waiting


async def test_who_waits_keeps_nobody_from_working(tmp_path: Path) -> None:
    """Twice as many wait as may work; another verb is served as if there were none."""
    room = Room(at_once=2, waiting=4)
    async with control_plane(tmp_path, ACTS, room=room) as bastion:
        async with asyncio.TaskGroup() as group, bastion.going("wait") as first:
            others = [bastion.going("wait") for _ in range(3)]
            for other in others:
                await other.__aenter__()
            for waiting in (first, *others):
                await waiting.stdout.expect("waiting\n")
            quick = [group.create_task(bastion("words", "here")) for _ in range(3)]
            assert {(await each).out for each in quick} == {"<here>\n"}
            late = await bastion("wait")
            assert (late.status, late.out) == (1, "waiting\n")
            assert late.err.startswith("bastion: Too many commands are waiting already")
            for other in others:
                await other.__aexit__(None, None, None)
        await until(lambda: bastion.script.ended.count("BrokenPipeError") == 4)
        async with bastion.going("wait") as again:
            await again.stdout.expect("waiting\n")


async def test_one_person_may_not_take_all_places_to_wait(tmp_path: Path) -> None:
    """So many waits each; the next one hears so at once."""
    room = Room(waiting_each=1)
    async with (
        control_plane(tmp_path, ACTS, room=room) as bastion,
        bastion.going("wait") as going,
    ):
        await going.stdout.expect("waiting\n")
        late = await bastion("wait")
    assert late.err == "bastion: 1 commands of yours are waiting already: end one first.\n"


async def test_ctrl_c_ends_a_verb_that_waits(tmp_path: Path) -> None:
    """At a terminal, at once, with the shell's status; the server goes on."""
    async with control_plane(tmp_path, ACTS) as bastion:
        async with bastion.terminal("wait") as terminal:
            await terminal.expect("waiting\r\n")
            began = time.monotonic()
            terminal.send("\x03")
            await terminal.expect(r"\^C\r\n")
            await until(lambda: bastion.script.ended == ["KeyboardInterrupt"])
            assert time.monotonic() - began < AT_ONCE
            assert await terminal.wait() == 130
        assert (await bastion("words", "on")).out == "<on>\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_a_client_that_leaves_ends_a_verb_that_waits(
    tmp_path: Path, number: signal.Signals
) -> None:
    """ctrl-c without a terminal is the client's own end; so is any other."""
    async with control_plane(tmp_path, ACTS) as bastion, bastion.going("wait") as going:
        await going.stdout.expect("waiting\n")
        began = time.monotonic()
        going.signal(number)
        await until(lambda: bastion.script.ended == ["BrokenPipeError"])
        assert time.monotonic() - began < AT_ONCE


async def test_ctrl_c_ends_a_verb_that_speaks(tmp_path: Path) -> None:
    """What was said and not yet shown is not wanted any more."""
    async with control_plane(tmp_path, ACTS) as bastion, bastion.terminal("lines") as terminal:
        await terminal.expect("the same again\r\n")
        terminal.send("\x03")
        assert await terminal.wait() == 130
        assert bastion.script.ended == ["KeyboardInterrupt"]


async def test_who_leaves_before_her_turn_has_asked_nothing(tmp_path: Path) -> None:
    """A verb that waits for its turn is not run for somebody who is gone by then."""
    free = threading.Event()
    acts = {**ACTS, "busy": lambda voice, words: int(not free.wait(5))}
    async with control_plane(tmp_path, acts, room=Room(at_once=1)) as bastion:
        async with bastion.going("busy") as busy:
            await until(lambda: bastion.script.lines == ["busy"])
            async with bastion.going("words", "too late", options=("-v",)) as impatient:
                await impatient.stderr.expect("Sending command: words too late")
                await until(lambda: len(bastion.workers._there) == 2)
                impatient.signal(signal.SIGKILL)
                await impatient.wait()
            await until(lambda: len(bastion.connections) == 1)
            free.set()
            assert await busy.wait() == 0
        assert (await bastion("words", "on")).out == "<on>\n"
    assert bastion.script.lines == ["busy", "words on"]


async def test_the_end_of_the_server_ends_what_waits(tmp_path: Path) -> None:
    """No thread is left behind."""
    async with control_plane(tmp_path, ACTS) as bastion, bastion.going("wait") as going:
        await going.stdout.expect("waiting\n")
        bastion.workers.close()
        await until(lambda: bastion.script.ended == ["BrokenPipeError"])
        assert (await bastion("words")).err.startswith("bastion: The bastion is going down")
    await until(lambda: not any("verbs" in each.name for each in threading.enumerate()))


# Speaking


async def test_a_hundred_megabytes_flow_in_little_memory(tmp_path: Path) -> None:
    """As fast as the client reads, and no more is kept than that."""
    async with control_plane(tmp_path, ACTS) as bastion:
        await bastion.piped("flood 4", "wc -c")
        before = _resident()
        done = await bastion.piped("flood 100", "wc -c")
        assert int(done.out) == 100 * MEGABYTE
        assert _resident() - before < 8 * MEGABYTE


async def test_a_reader_that_stalls_costs_no_memory_and_no_place(tmp_path: Path) -> None:
    """Its verb waits beside those that work; when it reads again, all of it arrives."""
    async with (
        control_plane(tmp_path, ACTS, room=Room(at_once=1)) as bastion,
        bastion.stalled("flood", "32") as stalled,
    ):
        await until(lambda: bool(bastion.script.lines))
        assert (await bastion("words", "on")).out == "<on>\n"
        before = _resident()
        await asyncio.sleep(0.5)
        assert (await bastion("words", "on")).out == "<on>\n"
        assert _resident() - before < 2 * MEGABYTE
        read = 0
        while data := await stalled.read():
            read += len(data)
        assert read == 32 * MEGABYTE
        assert await stalled.wait() == 0
        assert bastion.script.ended == ["returned"] * 3


async def test_a_reader_that_reads_nothing_is_left(tmp_path: Path) -> None:
    """After its time the verb ends, and the client with it."""
    async with (
        control_plane(tmp_path, ACTS, patience=Patience(reader=0.5)) as bastion,
        bastion.stalled("lines") as stalled,
    ):
        await until(lambda: bastion.script.ended == ["BrokenPipeError"])
        while await stalled.read():
            pass
        assert await stalled.wait() != 0


async def test_who_never_reads_the_last_of_it_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The verb has returned, and the rest of what it said can't be brought to anybody."""

    class Stubborn(asyncssh.SSHClientSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
            chan.pause_reading()

    async with (
        control_plane(tmp_path, ACTS, patience=Patience(reader=0.3)) as bastion,
        asyncssh.connect(
            "127.0.0.1",
            bastion.port,
            username="alice",
            client_keys=[str(bastion.alice.key)],
            known_hosts=None,
            config=None,
        ) as alice,
    ):
        command, window = f"words {'x' * 5000}", 4096
        await alice.create_session(Stubborn, command, encoding=None, window=window)
        await until(lambda: bastion.script.ended == ["returned"])
        await until(lambda: "alice has read nothing" in caplog.text)


async def test_who_has_read_enough_ends_the_verb(tmp_path: Path) -> None:
    """`ssh bastion … | head -1`: the verb hears that nobody reads on."""
    async with control_plane(tmp_path, ACTS) as bastion:
        done = await bastion.piped("lines", "head -1")
        assert done.out == "the same again\n"
        assert bastion.script.ended == ["BrokenPipeError"]


async def test_a_verb_hears_of_the_width_of_the_terminal(tmp_path: Path) -> None:
    """At the beginning, and whenever it changes."""
    async with (
        control_plane(tmp_path, ACTS) as bastion,
        bastion.terminal("columns", size=(101, 30)) as terminal,
    ):
        await terminal.expect("columns 101 colour True\r\n")
        terminal.resize(133, 30)
        await terminal.expect("columns 133 colour True\r\n")
        terminal.send("\x03")
        assert await terminal.wait() == 130


def _resident() -> int:
    """Memory of this process, in bytes: the server and its verbs are in it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
