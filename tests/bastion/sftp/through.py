"""A client of a few lines, the proxy, and OpenSSH's own sftp-server behind it; no network."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bastion.files import parse_files
from bastion.sftp.answers import Answer, Handle, Names, Status, Version, parse_answer
from bastion.sftp.fields import NOTHING
from bastion.sftp.framer import Framer
from bastion.sftp.order import Order
from bastion.sftp.output import Output
from bastion.sftp.packets import (
    Flags,
    Init,
    Malformed,
    OnHandle,
    OnPath,
    Open,
    Request,
    Verb,
    framed,
    parse_request,
    write_request,
)
from bastion.sftp.proxy import Proxy
from recorder import BEGUN, FileEvent

SERVER = "/usr/lib/openssh/sftp-server"

INIT = framed(bytes([1, 0, 0, 0, 3]))


class Through:
    """One session over pipes. `events` are those of what was over, `said` what the person read."""

    def __init__(
        self, server: "subprocess.Popen[bytes]", *files: str, order: Order | None = None
    ) -> None:
        self._server = server
        self._proxy = Proxy(tuple(map(parse_files, files)), "G-7", order)
        self._proxy.wake_by(lambda: self._carry_out(self._proxy.resumed()))
        self._framer = Framer()
        self._answers: dict[int, Answer] = {}
        self._number = 0
        self.events: list[FileEvent] = []
        self.begun: list[FileEvent] = []
        self.said: list[str] = []
        self.asked: list[Request] = []
        self.version: Version | None = None
        self.fault: str | None = None
        self.send(INIT)
        while self.version is None:
            assert self.fault is None, self.fault
            self.hear()

    def send(self, data: bytes) -> None:
        """Bytes of the client."""
        self._carry_out(self._proxy.from_client(data))

    def ask(self, request: Request) -> Answer:
        """Ask, and wait for the answer."""
        return self.answer(self.begin(request))

    def begin(self, request: Request) -> int:
        """Ask, and go on: what to wait for with `answer`."""
        self._number += 1
        self.send(write_request(request, self._number))
        return self._number

    def answer(self, number: int) -> Answer:
        """The answer to what was begun."""
        while number not in self._answers:
            assert self.fault is None, self.fault
            self.hear()
        return self._answers.pop(number)

    def end(self) -> None:
        """The client goes."""
        self._carry_out(self._proxy.client_eof())
        self._carry_out(self._proxy.ended("the session ended"))

    def open(self, path: bytes | str, flags: int = 1) -> Answer:
        """Open a file: for reading, if nothing else is said."""
        raw = os.fsencode(path)
        return self.ask(parsed_open(raw, flags))

    def opened(self, path: bytes | str, flags: int = 1) -> bytes:
        """The handle of what is opened."""
        answer = self.open(path, flags)
        assert isinstance(answer, Handle), answer
        return answer.handle

    def close(self, handle: bytes) -> Answer:
        """Close it."""
        return self.ask(OnHandle(Verb.CLOSE, 0, handle))

    def on(self, verb: Verb, path: bytes | str) -> Answer:
        """Ask about a path."""
        return self.ask(OnPath(verb, 0, os.fsencode(path)))

    def names(self, path: bytes | str) -> set[bytes]:
        """The names in a directory."""
        opened = self.on(Verb.OPENDIR, path)
        assert isinstance(opened, Handle), opened
        found: set[bytes] = set()
        while isinstance(some := self.ask(OnHandle(Verb.READDIR, 0, opened.handle)), Names):
            found |= {entry.name for entry in some.entries}
        self.close(opened.handle)
        return found - {b".", b".."}

    def hear(self) -> None:
        """What the target answers next."""
        assert self._server.stdout is not None
        data = os.read(self._server.stdout.fileno(), 1 << 16)
        assert data, "the server is gone"
        self._carry_out(self._proxy.from_target(data))

    def _carry_out(self, out: Output) -> None:
        self.said += out.said
        for event in out.events:
            (self.begun if event.result == BEGUN else self.events).append(event)
        self.fault = self.fault or out.fault
        assert self._server.stdin is not None
        for packet in out.to_target:
            sent = parse_request(packet[4:])
            if not isinstance(sent, Init | Malformed):
                self.asked.append(sent)  # type: ignore[arg-type]
            self._server.stdin.write(packet)
        self._server.stdin.flush()
        for packet in out.to_client:
            for whole in self._framer.feed(packet):
                self._answered(whole)

    def _answered(self, packet: memoryview | Malformed) -> None:
        assert isinstance(packet, memoryview)
        answer = parse_answer(packet)
        if isinstance(answer, Version):
            self.version = answer
        else:
            assert not isinstance(answer, Malformed)
            self._answers[answer.id] = answer


def parsed_open(path: bytes, flags: int) -> Open:
    """An open with flags as numbers, as any client could send them."""
    return Open(0, path, Flags(flags), NOTHING)


def code(answer: Answer) -> str:
    """The name of a status."""
    return answer.code.name if isinstance(answer, Status) else type(answer).__name__


@contextmanager
def through(home: Path, *files: str) -> Iterator[Through]:
    """A session of a login whose home is `home`, by a grant of `files`."""
    with running(home) as server:
        yield Through(server, *files)


@contextmanager
def running(home: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """OpenSSH's own server of a login whose home is `home`, over pipes."""
    with subprocess.Popen(
        [SERVER, "-e", "-l", "QUIET"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=home
    ) as server:
        try:
            yield server
        finally:
            server.kill()
