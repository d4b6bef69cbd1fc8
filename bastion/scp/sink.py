"""What `scp -t` does: it takes what a source sends, one record after another. Sans-IO."""

import posixpath
from collections import deque
from dataclasses import dataclass

from bastion.errors import BadInput
from bastion.scp.client import Client, Step
from bastion.scp.command import ScpRun
from bastion.scp.records import End, Entry, Message, Times
from bastion.scp.remote import Pending, Remote, why_not
from bastion.sftp.answers import Answer, Attributes, Handle, Status
from bastion.sftp.fields import NOTHING, Attrs
from bastion.sftp.packets import Flags, OnHandle, OnPath, Open, Verb, Write

MOST_DEPTH = 128
"""Directories inside each other."""

FLIGHT = 4 << 20
"""Bytes that are on their way to the target and not written yet."""

_PUT = Flags.WRITE | Flags.CREAT | Flags.TRUNC
_LISTED = 0o700
"""What the owner of a directory needs to put something into it."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that is being filled, and what it is to have when it is full."""

    path: bytes
    attrs: Attrs = NOTHING


class Sink:
    """One `scp -t`, for one client."""

    def __init__(self, run: ScpRun, client: Client, remote: Remote):
        self._run = run
        self._path = run.path.encode()
        self._client = client
        self._remote = remote
        self._inside: list[Place] = []
        self._into = False
        self._times: Times | None = None
        self._piece = 0
        self._well = True

    def run(self) -> Step[bool]:
        """All of it; whether everything was done."""
        _, self._piece = yield from self._remote.pieces()
        self._into = (yield from self._is_directory(self._path)) or False
        if self._run.directory and not self._into:
            self._fail(self._path, "not a directory")
            return False
        self._client.agree()
        while (record := (yield from self._client.record())) is not None:
            match record:
                case Entry():
                    yield from self._entry(record)
                case Times():
                    self._times = record if self._run.times else None
                    self._client.agree()
                case End():
                    yield from self._leave()
                case Message(level):
                    self._client.errors += 1
                    if level == 2:
                        break
        return self._well and not self._inside

    def _entry(self, entry: Entry) -> Step[None]:
        times, self._times = self._times, None
        path = self._placed(entry.name)
        both = None if times is None else (times.read, times.modified)
        attrs = Attrs(permissions=entry.mode, times=both)
        if entry.directory:
            yield from self._enter(path, attrs)
        else:
            yield from self._file(path, entry, attrs)

    def _placed(self, name: bytes) -> bytes:
        """Below a directory under its name; else as the path that was asked for says."""
        if self._inside:
            return posixpath.join(self._inside[-1].path, name)
        return posixpath.join(self._path, name) if self._into else self._path

    # Directories

    def _enter(self, path: bytes, attrs: Attrs) -> Step[None]:
        if not self._run.recursive:
            raise BadInput("The client sent a directory, and did not say -r.")
        if len(self._inside) >= MOST_DEPTH:
            raise BadInput(f"The client sent more than {MOST_DEPTH} directories in each other.")
        is_directory = yield from self._is_directory(path)
        answer: Answer | None = None
        if is_directory is None:
            made = Attrs(permissions=(attrs.permissions or 0) | _LISTED)
            answer = yield from self._remote.answer(OnPath(Verb.MKDIR, 0, path, made))
        if is_directory is False or (isinstance(answer, Status) and answer.failed):
            self._fail(path, "not a directory" if answer is None else why_not(answer))
            return
        later = Attrs(
            attrs.size, None, self._mode_later(attrs, new=answer is not None), attrs.times
        )
        self._inside.append(Place(path, later))
        self._client.agree()

    def _mode_later(self, attrs: Attrs, *, new: bool) -> int | None:
        """The mode that a directory gets when it is full, as scp has it."""
        mode = attrs.permissions or 0
        return mode if self._run.times or (new and mode & _LISTED != _LISTED) else None

    def _leave(self) -> Step[None]:
        if not self._inside:
            raise BadInput("The client ended a directory that it had not begun.")
        place = self._inside.pop()
        if place.attrs != NOTHING:
            asked = OnPath(Verb.SETSTAT, 0, place.path, place.attrs)
            answer = yield from self._remote.answer(asked)
            if isinstance(answer, Status) and answer.failed:
                self._fail(place.path, why_not(answer))
                return
        self._client.agree()

    def _is_directory(self, path: bytes) -> Step[bool | None]:
        """None where nothing is there, or nothing that may be seen."""
        answer = yield from self._remote.answer(OnPath(Verb.STAT, 0, path))
        return bool(answer.attrs.is_directory) if isinstance(answer, Attributes) else None

    # Files

    def _file(self, path: bytes, entry: Entry, attrs: Attrs) -> Step[None]:
        made = Attrs(size=entry.size, permissions=entry.mode)
        opened = yield from self._remote.answer(Open(0, path, _PUT, made))
        if not isinstance(opened, Handle):
            self._fail(path, why_not(opened))
            return
        self._client.agree()
        problem = yield from self._fill(opened.handle, entry.size)
        yield from self._client.agreed()
        if self._run.times and problem is None:
            asked = OnHandle(Verb.FSETSTAT, 0, opened.handle, attrs)
            problem = _problem((yield from self._remote.answer(asked)))
        closed = yield from self._remote.close(opened.handle)
        problem = problem or _problem(closed)
        if problem is not None:
            self._fail(path, problem)
        else:
            self._client.agree()

    def _fill(self, handle: bytes, size: int) -> Step[str | None]:
        """Write what comes, in the order in which it comes; the first thing that went wrong.

        After that nothing more is written, and the rest is taken as it has to be.
        """
        written: deque[tuple[int, Pending]] = deque()
        problem: str | None = None
        at = under_way = 0
        while at < size:
            data = yield from self._client.some(min(size - at, self._piece))
            if problem is None:
                written.append((len(data), self._remote.ask(Write(0, handle, at, data))))
                under_way += len(data)
            at += len(data)
            while written and (under_way > FLIGHT or written[0][1].answer is not None):
                length, pending = written.popleft()
                problem = problem or _problem((yield from pending.wait()))
                under_way -= length
        for _, pending in written:
            problem = problem or _problem((yield from pending.wait()))
        return problem

    def _fail(self, path: bytes, why: str) -> None:
        self._well = False
        self._client.complain(path, why)


def _problem(answer: Answer) -> str | None:
    if isinstance(answer, Status) and not answer.failed:
        return None
    return why_not(answer)
