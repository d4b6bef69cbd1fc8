"""Sessions as one login of a host, before one tree: who changes it goes alone."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bastion.orders import Line
from bastion.sftp.answers import Data
from bastion.sftp.fields import NOTHING
from bastion.sftp.packets import Flags, OnHandle, OnPath, OnTwo, Open, Read, Request, Verb
from tests.bastion.sftp.through import Through, code, running

LONG = 60.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two files."""
    root = tmp_path.resolve() / "home"
    root.mkdir()
    (root / "a").write_text("a")
    (root / "b").write_text("b")
    return root


class Pair:
    """Two sessions, both granted everything below `home`, in one order."""

    def __init__(self, home: Path, stack: ExitStack, line: Line) -> None:
        files = (f"read:{home}/**", f"write:{home}/**")
        servers = [stack.enter_context(running(home)) for _ in range(2)]
        self.one, self.other = (Through(server, *files, order=line) for server in servers)
        self.home = home

    def path(self, name: str) -> bytes:
        """Below the home."""
        return bytes(self.home / name)

    def rename(self) -> Request:
        """What changes the tree."""
        return OnTwo(Verb.POSIX_RENAME, 0, self.path("a"), self.path("c"))

    def look(self) -> Request:
        """What does not."""
        return OnPath(Verb.STAT, 0, self.path("b"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends the servers."""
    with ExitStack() as stack:
        yield stack


async def test_a_change_waits_for_who_looks_and_keeps_others_out(
    home: Path, stack: ExitStack
) -> None:
    """Nothing of it is asked of the target before; then it is done, and who came later goes on."""
    pair = Pair(home, stack, Line(LONG, LONG))
    looking = pair.one.begin(pair.look())
    before = len(pair.other.asked)
    changing = pair.other.begin(pair.rename())
    assert len(pair.other.asked) == before
    assert code(pair.one.answer(looking)) == "Attributes"
    looking = pair.one.begin(pair.look())
    await asyncio.sleep(0)
    before = len(pair.one.asked)
    assert code(pair.other.answer(changing)) == "OK"
    assert len(pair.one.asked) == before
    await asyncio.sleep(0)
    assert code(pair.one.answer(looking)) == "Attributes"
    assert (home / "c").exists()


async def test_who_looks_does_not_wait_for_who_looks(home: Path, stack: ExitStack) -> None:
    """Two at a time."""
    pair = Pair(home, stack, Line(LONG, LONG))
    looking = pair.one.begin(pair.look())
    assert code(pair.other.ask(pair.look())) == "Attributes"
    assert code(pair.one.answer(looking)) == "Attributes"


async def test_what_is_open_goes_on_while_a_path_waits(home: Path, stack: ExitStack) -> None:
    """Reading and closing, of the session that waits."""
    pair = Pair(home, stack, Line(LONG, LONG))
    handle = pair.other.opened(pair.path("b"))
    changing = pair.one.begin(pair.rename())
    looking = pair.other.begin(pair.look())
    read = pair.other.ask(Read(0, handle, 0, 10))
    assert isinstance(read, Data)
    assert bytes(read.data) == b"b"
    assert code(pair.other.ask(OnHandle(Verb.CLOSE, 0, handle))) == "OK"
    assert code(pair.one.answer(changing)) == "OK"
    await asyncio.sleep(0)
    assert code(pair.other.answer(looking)) == "Attributes"


@pytest.mark.parametrize("flags", [Flags.WRITE | Flags.CREAT, Flags.WRITE | Flags.TRUNC])
async def test_a_file_that_is_made_or_cut_is_a_change(
    home: Path, stack: ExitStack, flags: Flags
) -> None:
    """It waits for who looks."""
    pair = Pair(home, stack, Line(LONG, LONG))
    looking = pair.one.begin(pair.look())
    before = len(pair.other.asked)
    opening = pair.other.begin(Open(0, pair.path("b"), flags, NOTHING))
    assert len(pair.other.asked) == before
    pair.one.answer(looking)
    await asyncio.sleep(0)
    assert code(pair.other.answer(opening)) == "Handle"


async def test_who_is_gone_lets_others_go_on(home: Path, stack: ExitStack) -> None:
    """In the middle of a change: when the target had time to be done with it."""
    pair = Pair(home, stack, Line(LONG, 0.02))
    pair.one.begin(pair.rename())
    looking = pair.other.begin(pair.look())
    before = len(pair.other.asked)
    pair.one.end()
    await asyncio.sleep(0)
    assert len(pair.other.asked) == before
    await _grown(pair.other, before)
    assert code(pair.other.answer(looking)) == "Attributes"


async def test_who_does_not_go_on_is_ended(home: Path, stack: ExitStack) -> None:
    """A target that does not answer: the session that holds others up ends, and asks nothing more
    though the answer comes after all."""
    pair = Pair(home, stack, Line(0.02, 0.02))
    pair.one.begin(pair.rename())
    looking = pair.other.begin(pair.look())
    before = len(pair.other.asked)
    await _grown(pair.other, before)
    assert pair.one.fault is not None
    assert pair.one.fault.startswith("an operation on a path took more than 0.02 s")
    asked = len(pair.one.asked)
    pair.one.hear()
    assert len(pair.one.asked) == asked
    assert code(pair.other.answer(looking)) == "Attributes"
    assert (home / "a").exists()


async def _grown(session: Through, before: int) -> None:
    """Until it has asked for more."""
    deadline = asyncio.get_running_loop().time() + 2
    while len(session.asked) == before:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.001)
