"""What `scp -f` does: it sends a file, or a tree, each when the last one is taken. Sans-IO."""

import posixpath
from collections import deque

from bastion.errors import BadInput
from bastion.scp.client import Client, Step
from bastion.scp.command import ScpRun
from bastion.scp.records import End, Entry, Times, presentable
from bastion.scp.remote import Pending, Remote, why_not
from bastion.sftp.answers import Attributes, Data, Handle, Names
from bastion.sftp.answers import Entry as Listed
from bastion.sftp.fields import REGULAR, TYPE_MASK, Attrs
from bastion.sftp.packets import Flags, OnHandle, OnPath, Open, Read, Verb

MOST_DEPTH = 128
"""Directories inside each other; a link may lead back to where it is."""

FLIGHT = 4 << 20
"""Bytes that were asked for and have not come yet."""

MOST_MISSING = 16 << 20
"""Bytes that are made up, as scp does, where a file has become shorter or can't be read on."""


class Source:
    """One `scp -f`, for one client."""

    def __init__(self, run: ScpRun, client: Client, remote: Remote):
        self._run = run
        self._client = client
        self._remote = remote
        self._piece = 0
        self._well = True

    def run(self) -> Step[bool]:
        """All of it; whether everything was done."""
        yield from self._client.agreed()
        self._piece, _ = yield from self._remote.pieces()
        yield from self._send(self._run.path.encode(), 0)
        return self._well

    def _send(self, path: bytes, depth: int, known: Attrs | None = None) -> Step[None]:
        """What is at `path`; `known` is what a directory's list said of it."""
        if known is None or not (known.is_directory or _is_file(known)):
            answer = yield from self._remote.answer(OnPath(Verb.STAT, 0, path))
            if not isinstance(answer, Attributes):
                self._fail(path, why_not(answer))
                return
            known = answer.attrs
        name = posixpath.basename(path.rstrip(b"/"))
        if name and not presentable(name):
            self._fail(ascii(name)[2:-1].encode(), "a name that scp can't send")
        elif known.is_directory and self._run.recursive:
            yield from self._directory(path, name or b".", known, depth)
        elif _is_file(known):
            yield from self._file(path, name)
        else:
            self._fail(path, "not a regular file")

    # Directories

    def _directory(self, path: bytes, name: bytes, attrs: Attrs, depth: int) -> Step[None]:
        if depth >= MOST_DEPTH:
            self._fail(path, f"more than {MOST_DEPTH} directories in each other")
            return
        opened = yield from self._remote.answer(OnPath(Verb.OPENDIR, 0, path))
        if not isinstance(opened, Handle):
            self._fail(path, why_not(opened))
            return
        taken = yield from self._told(Entry(True, _mode(attrs), 0, name), attrs)
        if taken:
            yield from self._list(path, opened.handle, depth)
        yield from self._remote.close(opened.handle)
        if taken:
            self._client.tell(End())
            yield from self._client.agreed()

    def _list(self, path: bytes, handle: bytes, depth: int) -> Step[None]:
        while True:
            answer = yield from self._remote.answer(OnHandle(Verb.READDIR, 0, handle))
            if not isinstance(answer, Names):
                return
            for entry in _real(answer.entries):
                below = posixpath.join(path, entry.name)
                yield from self._send(below, depth + 1, entry.attrs)

    # Files

    def _file(self, path: bytes, name: bytes) -> Step[None]:
        opened = yield from self._remote.answer(Open(0, path, Flags.READ, Attrs()))
        if not isinstance(opened, Handle):
            self._fail(path, why_not(opened))
            return
        handle = opened.handle
        answer = yield from self._remote.answer(OnHandle(Verb.FSTAT, 0, handle))
        if isinstance(answer, Attributes) and answer.attrs.size is not None:
            yield from self._opened(path, name, handle, answer.attrs)
        else:
            self._fail(path, why_not(answer))
        yield from self._remote.close(handle)

    def _opened(self, path: bytes, name: bytes, handle: bytes, attrs: Attrs) -> Step[None]:
        size = attrs.size or 0
        if not (yield from self._told(Entry(False, _mode(attrs), size, name), attrs)):
            return
        problem = yield from self._pour(handle, size)
        if problem is None:
            self._client.agree()
        else:
            self._fail(path, problem)
        yield from self._client.agreed()

    def _pour(self, handle: bytes, size: int) -> Step[str | None]:
        """Send `size` bytes, whatever becomes of the file; the first thing that went wrong."""
        coming: deque[tuple[int, Pending]] = deque()
        asked = sent = 0
        while sent < size:
            while asked < size and asked - sent < FLIGHT:
                length = min(self._piece, size - asked)
                coming.append((length, self._remote.ask(Read(0, handle, asked, length))))
                asked += length
            length, pending = coming.popleft()
            answer = yield from pending.wait()
            if not isinstance(answer, Data) or not answer.data:
                self._make_up(size - sent)
                return why_not(answer)
            self._client.send(bytes(answer.data))
            sent += len(answer.data)
            if missing := length - len(answer.data):
                rest = self._remote.ask(Read(0, handle, sent, missing))
                coming.appendleft((missing, rest))
        return None

    def _make_up(self, size: int) -> None:
        """The client waits for as many bytes as it was promised."""
        if size > MOST_MISSING:
            raise BadInput("The file can't be read to its end, and scp has no way to say so.")
        self._client.send(bytes(size))

    def _told(self, entry: Entry, attrs: Attrs) -> Step[bool]:
        """Whether the client takes what is to come."""
        if self._run.times and attrs.times is not None:
            read, modified = attrs.times
            self._client.tell(Times(modified, read))
            if not (yield from self._client.agreed()):
                return False
        self._client.tell(entry)
        return (yield from self._client.agreed())

    def _fail(self, path: bytes, why: str) -> None:
        self._well = False
        self._client.complain(path, why)


def _is_file(attrs: Attrs) -> bool:
    return attrs.permissions is not None and attrs.permissions & TYPE_MASK == REGULAR


def _mode(attrs: Attrs) -> int:
    return (attrs.permissions or 0) & 0o777


def _real(entries: tuple[Listed, ...]) -> tuple[Listed, ...]:
    return tuple(entry for entry in entries if entry.name not in {b".", b".."})
