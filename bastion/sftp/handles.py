"""Operations on what is open: they name a handle and no path, and go to the target at once. Pure.

A handle was judged when it was opened, and stands for that and nothing else. Bytes are counted and
hashed as they go by: to the target when they are sent, from it when they have come.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bastion.files import sized
from bastion.sftp.answers import Answer, Code, Data, Names, Reply, Status
from bastion.sftp.flows import SPECIAL, Flows, Lie, changes
from bastion.sftp.framer import LARGEST
from bastion.sftp.limits import fitting
from bastion.sftp.opened import Opened, OpenFiles
from bastion.sftp.output import Gathered
from bastion.sftp.packets import CopyData, OnHandle, Plain, Read, Request, Verb, Write
from recorder import DONE, Direction, FileEvent, shown

LONGEST_READ = LARGEST - 1024
"""Bytes of one read: what a target answers has to fit a packet."""

_READ, _WRITE = Direction.READ, Direction.WRITE

Then = Callable[[Answer], None]
Ask = Callable[[Request, Then], None]


class Handles:
    """The operations of one session. `ask` sends a request and gives its answer to who waits."""

    def __init__(self, opened: OpenFiles, flows: Flows, out: Gathered, ask: Ask):
        self._opened = opened
        self._flows = flows
        self._out = out
        self._ask = ask

    def of(self, request: OnHandle | Read | Write | CopyData | Plain, then: Then) -> None:
        """Do what is asked; `then` gets the answer for the client, now or later."""
        match request:
            case Read():
                self._read(request, then)
            case Write():
                self._write(request, then)
            case OnHandle():
                self._on_handle(request, then)
            case CopyData():
                self._copy(request, then)
            case Plain():
                self._ask(request, partial(self._plainly, request.verb, then))

    # Bytes

    def _read(self, request: Read, then: Then) -> None:
        file = self._file(request.handle, _READ)
        if file is None:
            then(_NOT_OPEN)
            return
        asked = replace(request, handle=file.theirs, length=min(request.length, LONGEST_READ))
        self._ask(asked, partial(self._was_read, file, asked, then))

    def _was_read(self, file: Opened, asked: Read, then: Then, answer: Answer) -> None:
        if isinstance(answer, Data):
            size = len(answer.data)
            if size > asked.length:
                raise Lie("The target sent more of a file than was asked for.")
            if not file.holds(_READ, asked.offset + size):
                then(self._too_large(file, _READ))
                return
            file.tracks[_READ].went(asked.offset, answer.data)
        elif isinstance(answer, Status) and answer.code is not Code.EOF:
            file.failed(answer.meaning)
        then(answer)

    def _write(self, request: Write, then: Then) -> None:
        file = self._file(request.handle, _WRITE)
        if file is None:
            then(_NOT_OPEN)
        elif not file.holds(_WRITE, request.offset + len(request.data)):
            then(self._too_large(file, _WRITE))
        else:
            file.tracks[_WRITE].went(request.offset, request.data)
            asked = replace(request, handle=file.theirs)
            self._ask(asked, partial(_noted, file, then))

    def _file(self, ours: bytes, way: Direction) -> Opened | None:
        """The file behind a handle, if it was opened for that."""
        file = self._opened.get(ours)
        return file if file is not None and file.may(way) else None

    def _too_large(self, file: Opened, way: Direction) -> Status:
        why = f"more than {sized(file.limits[way] or 0)} is not granted"
        file.refuse(why)
        self._out.say(f"{shown(file.path)}: {why}.")
        return Status(0, Code.FAILURE, f"bastion: {why}".encode())

    # What is open

    def _on_handle(self, request: OnHandle, then: Then) -> None:
        file = self._opened.get(request.handle)
        if file is None:
            then(_NOT_OPEN)
        elif request.verb is Verb.CLOSE:
            self._close(request, file, then)
        elif request.verb is Verb.READDIR:
            self._list(file, then)
        elif request.verb is Verb.FSETSTAT:
            self._set(request, file, then)
        else:
            self._ask(replace(request, handle=file.theirs), then)

    def _close(self, request: OnHandle, file: Opened, then: Then) -> None:
        """OpenSSH's client goes by the last answer to a write, and a refusal may overtake others:
        that a file is not whole is said once more here, where it listens."""

        def closed(answer: Answer) -> None:
            _noted(file, _nothing, answer)
            self._out.tell(*file.events())
            then(_INCOMPLETE if file.refused else answer)

        self._opened.close(request.handle)
        self._ask(replace(request, handle=file.theirs), closed)

    def _list(self, file: Opened, then: Then) -> None:
        if not file.is_directory:
            then(_NOT_OPEN)
            return
        asked = OnHandle(Verb.READDIR, 0, file.theirs)
        self._ask(asked, partial(self._listed, file, then))

    def _listed(self, file: Opened, then: Then, answer: Answer) -> None:
        """Only what may be seen; where nothing of it may, the target is asked for more."""
        if not isinstance(answer, Names):
            then(answer)
            return
        entries = tuple(e for e in answer.entries if self._shows(file.path, e.name))
        if entries or not answer.entries:
            then(Names(0, entries))
        else:
            self._list(file, then)

    def _shows(self, directory: bytes, name: bytes) -> bool:
        if b"/" in name or not name:
            raise Lie("The target listed what is no name of a file.")
        if name in {b".", b".."}:
            return True
        return self._flows.judge.listable(directory.rstrip(b"/") + b"/" + name)

    def _set(self, request: OnHandle, file: Opened, then: Then) -> None:
        size, mode = request.attrs.size, request.attrs.permissions or 0
        word = changes(request.attrs)
        if not file.may(_WRITE) or mode & SPECIAL:
            self._out.tell(_event(word, file, "refused: not granted"))
            then(Status(0, Code.PERMISSION_DENIED, b"bastion: not granted"))
        elif size is not None and not file.holds(_WRITE, size):
            then(self._too_large(file, _WRITE))
        else:
            told = partial(self._told, word, file, None, then)
            self._ask(replace(request, handle=file.theirs), told)

    def _copy(self, request: CopyData, then: Then) -> None:
        """On the target, so nobody sees the bytes: that it was done is all that is known."""
        source = self._file(request.source, _READ)
        sink = self._file(request.sink, _WRITE)
        if source is None or sink is None:
            then(_NOT_OPEN)
        elif not _fits(request, source, sink):
            then(self._too_large(sink, _WRITE))
        else:
            asked = replace(request, source=source.theirs, sink=sink.theirs)
            self._ask(asked, partial(self._told, "copy", source, sink, then))

    def _told(
        self, word: str, file: Opened, other: Opened | None, then: Then, answer: Answer
    ) -> None:
        result = answer.meaning if isinstance(answer, Status) and answer.failed else DONE
        self._out.tell(_event(word, file, result, other))
        then(answer)

    def _plainly(self, verb: Verb, then: Then, answer: Answer) -> None:
        if verb is Verb.LIMITS and isinstance(answer, Reply):
            answer = Reply(0, fitting(answer.body))
        then(answer)


_NOT_OPEN = Status(0, Code.FAILURE, b"bastion: that handle is not open for this")


_INCOMPLETE = Status(0, Code.FAILURE, b"bastion: not all of it was granted")


def _nothing(_: Answer) -> None:
    """Nobody waits."""


def _noted(file: Opened, then: Then, answer: Answer) -> None:
    if isinstance(answer, Status) and answer.failed:
        file.failed(answer.meaning)
    then(answer)


def _event(word: str, file: Opened, result: str, other: Opened | None = None) -> FileEvent:
    second = None if other is None else other.path
    return FileEvent(word, file.path, second, None, 0, None, result)


def _fits(request: CopyData, source: Opened, sink: Opened) -> bool:
    """Whether both files may be that long; a copy to the end is of nobody knows how many bytes."""
    if source.limits[_READ] is None and sink.limits[_WRITE] is None:
        return True
    fits = source.holds(_READ, request.source_offset + request.length)
    return (
        bool(request.length) and fits and sink.holds(_WRITE, request.sink_offset + request.length)
    )
