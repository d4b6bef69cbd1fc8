"""One operation on paths, in steps: resolved on the target, judged, done, and told. Pure.

A flow is a generator: it yields requests for the target, gets its answers, and returns the answer
for the client. Every path is resolved by the target before it is judged, and what is judged is
what goes out. Where an operation would follow a link at the end of a path, that is resolved too;
where it would not, only what is before it.
"""

from collections.abc import Generator
from typing import NoReturn, TypeVar

from bastion.files import Files, normal, sized
from bastion.sftp.answers import Answer, Attributes, Code, Entry, Handle, Names, Status
from bastion.sftp.fields import Attrs
from bastion.sftp.judge import Judge
from bastion.sftp.opened import WORDS, OpenFiles
from bastion.sftp.output import Gathered
from bastion.sftp.packets import Flags, OnHandle, OnPath, OnTwo, Open, Request, Verb
from recorder import BEGUN, DONE, Direction, FileEvent, shown

T = TypeVar("T")

Asking = Generator[tuple[Request, ...], tuple[Answer, ...], T]
Flow = Asking[Answer]

_READ, _WRITE = Direction.READ, Direction.WRITE
_READ_ONLY = Flags.READ
SPECIAL = 0o6000
"""Set-user-id and set-group-id: nobody sets them by a grant of files."""

_TAKEN_WITHOUT_WRITE = Flags.APPEND | Flags.CREAT | Flags.TRUNC | Flags.EXCL


class Stop(Exception):
    """The operation ends here, with this answer. It never leaves `run`."""

    def __init__(self, status: Status):
        super().__init__(status.message)
        self.status = status


class Lie(Exception):
    """The target answered what it can't have: the session has to end."""


class Flows:
    """The operations of one session, by one grant's `files`; `grant` is its name for people."""

    def __init__(self, files: tuple[Files, ...], grant: str, opened: OpenFiles, out: Gathered):
        self._grant = grant
        self._opened = opened
        self._out = out
        self.judge = Judge(files)

    def begin(self) -> Flow:
        """What has to be known before anything: where relative paths begin."""
        home = yield from _one(OnPath(Verb.REALPATH, 0, b"."))
        if isinstance(home, Names):
            self.judge = Judge(self.judge.files, _only(home))
        return Status(0, Code.OK)

    def of(self, request: Open | OnPath | OnTwo) -> Flow:
        """The flow of a request about paths."""
        return self._run(self._begun(request))

    def _begun(self, request: Open | OnPath | OnTwo) -> Flow:
        match request:
            case Open():
                return self._open(request)
            case OnTwo():
                return self._on_two(request)
            case OnPath():
                return self._on_path(request)

    def _on_path(self, request: OnPath) -> Flow:
        match request.verb:
            case Verb.OPENDIR:
                return self._opendir(request)
            case Verb.STAT | Verb.STATVFS:
                return self._stat(request)
            case Verb.LSTAT | Verb.READLINK:
                return self._lstat(request)
            case Verb.REALPATH | Verb.EXPAND_PATH:
                return self._realpath(request)
            case Verb.MKDIR:
                return self._mkdir(request)
            case Verb.RMDIR | Verb.REMOVE:
                return self._remove(request)
            case Verb.SETSTAT | Verb.LSETSTAT:
                return self._setstat(request)
        raise ValueError(f"{request.verb} is no request about a path")

    def _on_two(self, request: OnTwo) -> Flow:
        if request.verb is Verb.SYMLINK:
            return self._symlink(request)
        return self._hardlink(request) if request.verb is Verb.HARDLINK else self._rename(request)

    def _run(self, flow: Flow) -> Flow:
        try:
            return (yield from flow)
        except Stop as stop:
            return stop.status

    # Files and directories are opened

    def _open(self, request: Open) -> Flow:
        ways = _ways(request.flags)
        real = yield from self._followed(request.path)
        word = WORDS[ways[-1]]
        for way in ways:
            if not self.judge.may(way, real):
                self._deny(word, way, real)
        limits = {way: self.judge.limit(way, real) for way in ways}
        self._openable(word, real, request, limits)
        self._tell(word, real, result=BEGUN)
        opened = yield from self._opened_there(Open(0, real, request.flags, request.attrs), real)
        if isinstance(opened, Handle):
            return Handle(0, self._opened.add(opened.handle, real, limits).ours)
        self._tell(word, real, result=_meaning(opened))
        return opened

    def _openable(
        self, word: str, real: bytes, request: Open, limits: dict[Direction, int | None]
    ) -> None:
        limit = limits.get(_WRITE)
        if self._opened.full:
            raise Stop(Status(0, Code.FAILURE, b"bastion: too many files are open"))
        if limit is not None and request.flags & Flags.APPEND:
            self._refuse(word, real, f"a file of at most {sized(limit)} can't be appended to")
        if _WRITE in limits:
            self._settable(word, real, request.attrs)

    def _opendir(self, request: OnPath) -> Flow:
        real = yield from self._followed(request.path)
        if not self.judge.listable(real):
            self._deny("list", _READ, real)
        if self._opened.full:
            raise Stop(Status(0, Code.FAILURE, b"bastion: too many files are open"))
        self._tell("list", real, result=BEGUN)
        opened = yield from self._opened_there(OnPath(Verb.OPENDIR, 0, real), real)
        self._tell("list", real, result=_meaning(opened))
        if isinstance(opened, Handle):
            return Handle(0, self._opened.add(opened.handle, real, {}).ours)
        return opened

    def _opened_there(self, request: Open | OnPath, real: bytes) -> Flow:
        """Open, and see whether the path is still what it was: if not, nothing is read there."""
        opened, again = yield (request, OnPath(Verb.REALPATH, 0, real))
        if not isinstance(opened, Handle):
            return opened
        if isinstance(again, Names) and _only(again) == real:
            return opened
        yield from _one(OnHandle(Verb.CLOSE, 0, opened.handle))
        why = f"{shown(real)} was changed while it was opened."
        return Status(0, Code.PERMISSION_DENIED, self._said(why))

    # What is asked about paths

    def _stat(self, request: OnPath) -> Flow:
        """What follows the last link: stat, and statvfs."""
        real = yield from self._followed(request.path)
        self._see(real)
        return (yield from _one(OnPath(request.verb, 0, real)))

    def _lstat(self, request: OnPath) -> Flow:
        """What does not: lstat, and readlink."""
        real = yield from self._unfollowed(request.path)
        self._see(real)
        return (yield from _one(OnPath(request.verb, 0, real)))

    def _realpath(self, request: OnPath) -> Flow:
        real = yield from self._followed(request.path, request.verb)
        self._see(real)
        return Names(0, (Entry(real, real),))

    def _see(self, real: bytes) -> None:
        if not self.judge.visible(real):
            self._deny(None, _READ, real)

    # What changes the tree

    def _mkdir(self, request: OnPath) -> Flow:
        real = yield from self._unfollowed(request.path)
        self._write("mkdir", real)
        return (yield from self._done("mkdir", OnPath(request.verb, 0, real, request.attrs), real))

    def _remove(self, request: OnPath) -> Flow:
        real = yield from self._unfollowed(request.path)
        word = request.verb.value
        self._write(word, real)
        return (yield from self._done(word, OnPath(request.verb, 0, real), real))

    def _setstat(self, request: OnPath) -> Flow:
        if request.verb is Verb.LSETSTAT:
            real = yield from self._unfollowed(request.path)
        else:
            real = yield from self._followed(request.path)
        word = changes(request.attrs)
        self._write(word, real)
        self._settable(word, real, request.attrs)
        return (yield from self._done(word, OnPath(request.verb, 0, real, request.attrs), real))

    def _rename(self, request: OnTwo) -> Flow:
        old = yield from self._unfollowed(request.old)
        new = yield from self._unfollowed(request.new)
        kind = yield from self._kind("rename", old)
        if kind.is_link:
            yield from self._aimed_well("rename", old, new)
        if not self.judge.may_take(old, new, tree=kind.is_directory is not False):
            self._refuse("rename", old, "not granted", other=new)
        return (yield from self._done("rename", OnTwo(request.verb, 0, old, new), old, new))

    def _hardlink(self, request: OnTwo) -> Flow:
        old = yield from self._unfollowed(request.old)
        new = yield from self._unfollowed(request.new)
        kind = yield from self._kind("link", old)
        if kind.is_link is not False or not self.judge.may_take(old, new, tree=False):
            self._refuse("link", old, "not granted", other=new)
        return (yield from self._done("link", OnTwo(request.verb, 0, old, new), old, new))

    def _symlink(self, request: OnTwo) -> Flow:
        """Its text goes as it came; a `..` in it could lead elsewhere once the link is moved."""
        link = yield from self._unfollowed(request.new)
        yield from self._lead("symlink", link, request.old)
        asked = OnTwo(request.verb, 0, request.old, link)
        return (yield from self._done("symlink", asked, link, request.old))

    def _kind(self, word: str, path: bytes) -> Asking[Attrs]:
        """What is there, if it may be touched at all."""
        self._write(word, path)
        answer = yield from _one(OnPath(Verb.LSTAT, 0, path))
        if isinstance(answer, Attributes):
            return answer.attrs
        raise Stop(_status(answer))

    def _aimed_well(self, word: str, old: bytes, new: bytes) -> Asking[None]:
        """A link at `old` may be at `new`, by where it leads from there."""
        answer = yield from _one(OnPath(Verb.READLINK, 0, old))
        if not isinstance(answer, Names) or len(answer.entries) != 1:
            raise Stop(_status(answer))
        yield from self._lead(word, new, answer.entries[0].name)

    def _lead(self, word: str, link: bytes, aim: bytes) -> Asking[None]:
        if b".." in aim.split(b"/"):
            self._refuse(word, link, "a link with '..' in it is not granted", other=aim)
        whole = aim if aim.startswith(b"/") else link.rpartition(b"/")[0] + b"/" + aim
        real = yield from self._followed(whole)
        if not self.judge.may_lead(link, real):
            self._refuse(word, link, "not granted", other=aim)

    def _write(self, word: str, real: bytes) -> None:
        if not self.judge.may(_WRITE, real):
            self._deny(word, _WRITE, real)

    def _settable(self, word: str, real: bytes, attrs: Attrs) -> None:
        """Whether a file may have these attributes."""
        limit = self.judge.limit(_WRITE, real)
        if attrs.size is not None and limit is not None and attrs.size > limit:
            self._refuse(word, real, f"more than {sized(limit)} is not granted")
        if (attrs.permissions or 0) & SPECIAL:
            self._refuse(word, real, "set-user-id and set-group-id are not granted")

    def _done(
        self, word: str, request: Request, path: bytes, other: bytes | None = None
    ) -> Asking[Answer]:
        self._tell(word, path, other, result=BEGUN)
        answer = yield from _one(request)
        self._tell(word, path, other, result=_meaning(answer))
        return answer

    # Where a path leads

    def _followed(self, path: bytes, verb: Verb = Verb.REALPATH) -> Asking[bytes]:
        """The real path, no link left in it; its last part need not be there."""
        answer = yield from _one(OnPath(verb, 0, path))
        if isinstance(answer, Names):
            return _only(answer)
        if not self.judge.visible(_joined(self.judge.home, path)):
            self._deny(None, _READ, path)
        raise Stop(_status(answer))

    def _unfollowed(self, path: bytes) -> Asking[bytes]:
        """The real path of the directory, and the last part as it stands."""
        above, _, name = path.rstrip(b"/").rpartition(b"/")
        if name in {b"", b".", b".."}:
            return (yield from self._followed(path))
        start = above or (b"/" if path.startswith(b"/") else b".")
        real = yield from self._followed(start)
        return real.rstrip(b"/") + b"/" + name

    # What is told

    def _deny(self, word: str | None, way: Direction, path: bytes) -> NoReturn:
        what = "see" if word is None else way.value
        sentence = f"{self._grant} does not let you {what} {shown(path)}."
        if word is not None:
            self._tell(word, path, result="refused: not granted")
        raise Stop(Status(0, Code.PERMISSION_DENIED, self._said(sentence)))

    def _refuse(self, word: str, path: bytes, why: str, other: bytes | None = None) -> NoReturn:
        self._tell(word, path, other, result=f"refused: {why}")
        second = "" if other is None else f" to {shown(other)}"
        sentence = f"{word} {shown(path)}{second}: {why} by {self._grant}."
        raise Stop(Status(0, Code.PERMISSION_DENIED, self._said(sentence)))

    def _said(self, sentence: str) -> bytes:
        self._out.say(sentence)
        return f"bastion: {sentence}".encode()

    def _tell(self, word: str, path: bytes, other: bytes | None = None, *, result: str) -> None:
        self._out.tell(FileEvent(word, path, other, None, 0, None, result))


def changes(attrs: Attrs) -> str:
    """What setting these attributes does, in words that a person would type."""
    words = {
        "truncate": attrs.size,
        "chown": attrs.owners,
        "chmod": attrs.permissions,
        "touch": attrs.times,
    }
    return "+".join(word for word, value in words.items() if value is not None) or "setstat"


def _ways(flags: Flags) -> tuple[Direction, ...]:
    """Which ways a file is to be opened. Reading takes no other flag than its own."""
    if flags == _READ_ONLY:
        return (_READ,)
    if not flags & Flags.WRITE:
        raise Stop(Status(0, Code.OP_UNSUPPORTED, b"bastion: flags that make no sense"))
    return (_READ, _WRITE) if flags & Flags.READ else (_WRITE,)


def _one(request: Request) -> Asking[Answer]:
    (answer,) = yield (request,)
    return answer


def _only(names: Names) -> bytes:
    """The one real path that the target gave."""
    if len(names.entries) != 1 or not normal(names.entries[0].name):
        raise Lie("The target resolved a path to what is no path.")
    return names.entries[0].name


def _status(answer: Answer) -> Status:
    if isinstance(answer, Status):
        return answer
    raise Lie("The target answered something else than was asked.")


def _meaning(answer: Answer) -> str:
    return answer.meaning if isinstance(answer, Status) and answer.failed else DONE


def _joined(home: bytes, path: bytes) -> bytes:
    """A path without links, as it is written."""
    parts: list[bytes] = []
    whole = path if path.startswith(b"/") else home + b"/" + path
    for part in whole.split(b"/"):
        if part == b"..":
            del parts[-1:]
        elif part not in {b"", b"."}:
            parts.append(part)
    return b"/" + b"/".join(parts)
