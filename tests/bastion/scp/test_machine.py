"""The two machines of scp, byte by byte, with OpenSSH's own sftp-server behind them."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastion.files import parse_files
from bastion.scp import Scp, recognise
from bastion.scp.client import ENOUGH
from bastion.sftp import Output, Proxy
from recorder import BEGUN, FileEvent
from tests.bastion.sftp.through import running


class Talk:
    """One client of a machine. `heard` is what came and was not taken yet."""

    def __init__(self, server: "subprocess.Popen[bytes]", line: str, *files: str) -> None:
        run = recognise(line)
        assert run is not None
        self._server = server
        self._machine = Scp(run, Proxy(tuple(map(parse_files, files)), "G-7"))
        self.heard = b""
        self.events: list[FileEvent] = []
        self.said: list[str] = []
        self.fault: str | None = None
        self.over = False
        self._do(self._machine.begin())

    def send(self, data: bytes) -> None:
        """Bytes of the client."""
        self._do(self._machine.from_client(data))

    def eof(self) -> None:
        """The client sends no more."""
        self._do(self._machine.client_eof())

    def hears(self, expected: bytes) -> None:
        """What comes next is this."""
        while len(self.heard) < len(expected) and not self.fault:
            self._hear()
        assert self.heard[: len(expected)] == expected
        self.heard = self.heard[len(expected) :]

    def hears_line(self) -> bytes:
        """What comes next, to the end of a line."""
        while b"\n" not in self.heard:
            self._hear()
        line, _, self.heard = self.heard.partition(b"\n")
        return line

    def ends(self) -> int | None:
        """All is over: the exit status."""
        while not self.over and self.fault is None:
            self._hear()
        assert self.heard == b""
        self._do(self._machine.ended("the session ended"))
        return self._machine.exit_status

    @property
    def holding(self) -> bool:
        """Whether the machine has had enough."""
        return self._machine.holding

    def _hear(self) -> None:
        assert self._server.stdout is not None
        data = os.read(self._server.stdout.fileno(), 1 << 16)
        assert data, "the server is gone"
        self._do(self._machine.from_target(data))

    def _do(self, out: Output) -> None:
        assert self._server.stdin is not None
        self.said += out.said
        self.events += [event for event in out.events if event.result != BEGUN]
        self.heard += b"".join(out.to_client)
        self.fault = self.fault or out.fault
        self.over = self.over or out.eof
        self._server.stdin.write(b"".join(out.to_target))
        self._server.stdin.flush()


Begin = Callable[..., Talk]


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Begin]:
    """Begins a talk; paths are relative to a directory of its own."""
    with ExitStack() as stack:

        def begin(line: str, *files: str) -> Talk:
            server = stack.enter_context(running(tmp_path))
            return Talk(server, line, *(files or (f"read:{tmp_path}/**", f"write:{tmp_path}/**")))

        yield begin


def test_a_file_is_taken(talk: Begin, tmp_path: Path) -> None:
    """Each record is answered, and the last byte of the file."""
    client = talk("scp -t x")
    client.hears(b"\0")
    client.send(b"C0640 5 ignored\n")
    client.hears(b"\0")
    client.send(b"he")
    client.send(b"llo\0")
    client.hears(b"\0")
    client.eof()
    assert client.ends() == 0
    assert (tmp_path / "x").read_bytes() == b"hello"
    (put,) = client.events
    assert (put.operation, put.path, put.bytes) == ("put", os.fsencode(tmp_path / "x"), 5)


def test_all_at_once_is_taken_too(talk: Begin, tmp_path: Path) -> None:
    """A client that does not wait for answers is answered all the same."""
    client = talk("scp -r -t .")
    client.send(b"D0755 0 d\nC0644 3 a\nabc\0C0600 0 b\n\0E\nC0644 1 c\nx\0")
    client.hears(bytes(9))
    client.eof()
    assert client.ends() == 0
    assert (tmp_path / "d/a").read_bytes() == b"abc"
    assert (tmp_path / "d/b").read_bytes() == b""
    assert (tmp_path / "c").read_bytes() == b"x"


def test_what_is_refused_is_answered_and_the_next_is_taken(talk: Begin, tmp_path: Path) -> None:
    """As scp itself would."""
    client = talk("scp -t .", f"write:{tmp_path}/yes")
    client.send(b"C0644 3 no\n")
    client.hears(b"\0")
    assert client.hears_line() == b"\1scp: ./no: permission denied"
    client.send(b"C0644 3 yes\nabc\0")
    client.hears(b"\0\0")
    client.eof()
    assert client.ends() == 1
    assert client.said == [f"G-7 does not let you write {tmp_path}/no."]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["yes"]


def test_a_read_error_of_the_client_counts(talk: Begin, tmp_path: Path) -> None:
    """It says so in place of the file's end, and still gets its answer."""
    client = talk("scp -t x")
    client.send(b"C0644 3 x\nabc\1scp: x: Input/output error\n")
    client.hears(b"\0\0\0")
    client.eof()
    assert client.ends() == 1


@pytest.mark.parametrize(
    "sent",
    [
        *(b"C0644 5 ../x\n", b"C0644 5 a/b\n", b"D0755 0 ..\n", b"D0755 0 d\n", b"E\n", b"hello\n"),
        *(b"x" * 9000, b"T1 2 3\n", b"C0644 5 \x1b[2J\n", b"C0644 3 x\nabcX", b"\n"),
    ],
)
def test_nonsense_ends_it(talk: Begin, tmp_path: Path, sent: bytes) -> None:
    """With a sentence, and nothing of it outside of its place."""
    client = talk("scp -t .")
    client.send(sent)
    while client.fault is None:
        client._hear()
    assert client.fault.startswith("The client")
    assert {path.name for path in tmp_path.iterdir()} <= {"x"}


def test_directories_are_not_endless(talk: Begin) -> None:
    """More inside each other than a path can have is refused."""
    client = talk("scp -r -t .")
    client.send(b"D0755 0 d\n" * 200)
    while client.fault is None:
        client._hear()
    assert "directories in each other" in client.fault


def test_a_client_that_sends_faster_than_the_target_takes_is_held(talk: Begin) -> None:
    """So memory is bounded by the window, not by the file."""
    client = talk("scp -t x")
    client.send(b"C0644 1000000000 x\n")
    client.hears(b"\0\0")
    sent = 0
    while not client.holding:
        client.send(bytes(1 << 16))
        sent += 1 << 16
        assert sent < 16 << 20
    assert sent >= ENOUGH


def test_a_file_that_is_cut_off_is_told(talk: Begin, tmp_path: Path) -> None:
    """The client goes in the midst of it."""
    client = talk("scp -t x")
    client.send(b"C0644 10 x\nabc")
    client.hears(b"\0\0")
    client.eof()
    assert client.ends() == 1
    assert [event.bytes for event in client.events] == [3]
    assert client.events[0].result == "the session ended"


def test_a_file_is_given(talk: Begin, tmp_path: Path) -> None:
    """Its time, its size and its bytes, each when the last was taken."""
    (tmp_path / "x").write_bytes(b"hello")
    (tmp_path / "x").chmod(0o640)
    os.utime(tmp_path / "x", (5, 7))
    client = talk(f"scp -p -f {tmp_path}/x")
    assert client.heard == b""
    client.send(b"\0")
    client.hears(b"T7 0 5 0\n")
    client.send(b"\0")
    client.hears(b"C0640 5 x\n")
    client.send(b"\0")
    client.hears(b"hello\0")
    client.send(b"\0")
    assert client.ends() == 0


def test_a_client_that_does_not_want_it_gets_the_next(talk: Begin, tmp_path: Path) -> None:
    """Its answer to a file is no: nothing of that file goes over."""
    for name in ("a", "b"):
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d" / name).write_bytes(b"hello")
    client = talk("scp -r -f d")
    client.send(b"\0")
    assert client.hears_line().startswith(b"D")
    client.send(b"\0")
    first = client.hears_line()
    client.send(b"\1no\n")
    second = client.hears_line()
    assert {first, second} == {b"C0644 5 a", b"C0644 5 b"}
    client.send(b"\0")
    client.hears(b"hello\0")
    client.send(b"\0")
    client.hears(b"E\n")
    client.send(b"\0")
    assert client.ends() == 1


def test_a_name_that_a_line_can_not_hold_is_left_out(talk: Begin, tmp_path: Path) -> None:
    """A target can't put records of its own between ours."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a\nC0777 5 .bashrc").write_bytes(b"hello")
    client = talk("scp -r -f d")
    client.send(b"\0")
    assert client.hears_line().startswith(b"D")
    client.send(b"\0")
    assert client.hears_line() == b"\1scp: a\\nC0777 5 .bashrc: a name that scp can't send"
    client.hears(b"E\n")
    client.send(b"\0")
    assert client.ends() == 1


def test_a_special_file_is_not_opened(talk: Begin, tmp_path: Path) -> None:
    """A pipe would let the target wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    client = talk("scp -f pipe")
    client.send(b"\0")
    assert client.hears_line() == b"\1scp: pipe: not a regular file"
    assert client.ends() == 1


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)
@given(
    st.lists(
        st.sampled_from(
            [
                b"\0",
                b"\1no\n",
                b"\2\n",
                b"E\n",
                b"C0644 3 a\n",
                b"D0755 0 d\n",
                b"T1 0 1 0\n",
                b"abc",
            ]
        )
        | st.binary(max_size=30),
        max_size=12,
    ),
    st.sampled_from(["scp -t .", "scp -r -p -t .", "scp -f .", "scp -r -p -f ."]),
)
def test_whatever_a_client_sends_it_ends(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], line: str
) -> None:
    """With a status or a sentence, and nothing outside of what is granted."""
    top = tmp_path_factory.mktemp("any")
    (top / "d").mkdir()
    (top / "d" / "f").write_bytes(b"f")
    with running(top) as server:
        client = Talk(server, line, f"read:{top}/**", f"write:{top}/**")
        for part in parts:
            client.send(part)
        client.eof()
        while not client.over and client.fault is None:
            client._hear()
        assert client.fault is not None or client._machine.exit_status in {0, 1}
