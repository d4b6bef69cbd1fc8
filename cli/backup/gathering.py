"""Gathering: what goes into a backup, as it all stood at one moment.

The database's copy is that moment. Files of sessions that are sealed in it never change but in
their form; those of sessions that are not are opened at once, and read as far as they had grown.
"""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bastion.app import Services
from bastion.authority.keyfiles import AUDITOR, NEW
from bastion.errors import Conflict
from bastion.store import Store
from bastion.store.copying import copy_to, is_file, size_of
from cli.backup.members import DATABASE, KEYS, POLICY, RECORDING, RECORDINGS, SETTINGS, may_be
from cli.room import demand_room
from recorder import Index, Seals
from recorder.plain import AGE, ZST

TRIES: Final = 3
_COPY: Final = ".backup-"
_SMALL = (".manifest", ".manifest.sig", ".tombstone", ".tombstone.sig")
_NUMBER = re.compile(r"S-([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Member:
    """A file that goes in: the next `size` bytes of `source`, which is open."""

    name: str
    source: BinaryIO
    size: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What the database's copy knows: its sessions up to `last`, of which these are `unsettled`.

    Of a server's database there is no copy, and `last` is None.
    """

    last: int | None
    unsettled: frozenset[int]


class Gathering:
    """Gathers; to be entered by `gathered`. `gone` are files that were let go meanwhile."""

    def __init__(
        self, services: Services, copy: Path | None, moment: Moment, held: dict[str, BinaryIO]
    ) -> None:
        self.gone: list[str] = []
        self.copy = copy
        self._home = services.home
        self._root = services.settings.recordings(services.home)
        self._moment = moment
        self._held = held

    def members(self, *, keys: bool, recordings: bool) -> Iterator[Member]:
        """Each is closed when the next one is asked for."""
        yield from _whole(SETTINGS, self._home.settings)
        yield from _whole(POLICY, self._home.policy)
        if keys:
            for file in sorted(self._home.keys.iterdir()):
                if file.name != AUDITOR and not file.name.endswith(NEW) and file.is_file():
                    yield from _whole(f"{KEYS}{file.name}", file)
        if self.copy is not None:
            yield from _whole(DATABASE, self.copy)
        if recordings:
            for name, source in sorted(self._held.items()):
                yield Member(name, source, os.fstat(source.fileno()).st_size)
        yield from self._settled(recordings=recordings)

    def size(self, *, recordings: bool) -> int:
        """About how many bytes that is."""
        copied = 0 if self.copy is None else self.copy.stat().st_size
        found = (path for path, _ in _files(self._root)) if recordings else ()
        return copied + sum(map(_size, found))

    def _settled(self, *, recordings: bool) -> Iterator[Member]:
        """Files of sessions that were sealed by then; of others nothing but what is held."""
        done: set[str] = set()
        for path, number in _files(self._root):
            last = self._moment.last
            later = last is not None and number > last
            if later or number in self._moment.unsettled:
                continue
            if not recordings and not path.name.endswith(_SMALL):
                continue
            yield from self._present(path, done)

    def _present(self, path: Path, done: set[str]) -> Iterator[Member]:
        """The file, in the form in which it lies now: it may have been compacted meanwhile."""
        forms = [path]
        if path.name.endswith(".cast"):
            forms += [path.with_name(path.name + form) for form in (ZST, ZST + AGE)]
        for form in forms:
            name = f"{RECORDINGS}{form.relative_to(self._root).as_posix()}"
            if name in done:
                return
            try:
                found = form.open("rb")
            except FileNotFoundError:
                continue
            if form is not path:
                done.add(name)
            with found:
                yield _member(name, found, form)
            return
        self.gone.append(path.name)


@contextmanager
def gathered(services: Services) -> Iterator[Gathering]:
    """What there is now.

    Raises Conflict where sessions end too fast for it, or where there is no room for a copy of the
    database; Unavailable.
    """
    root, home = services.settings.recordings(services.home), services.home.directory
    _remove_left(home)
    with ExitStack() as stack:
        if not is_file(services.store):
            moment = Moment(None, _unsettled(services.index, services.seals))
            held = _held(services.index, root, moment, stack) or {}
            yield Gathering(services, None, moment, held)
            return
        copy = home / f"{_COPY}{os.getpid()}"
        size = size_of(services.store)
        demand_room(services.settings, services.home, size, copy, "The copy of the database")
        stack.callback(copy.unlink, missing_ok=True)
        for _ in range(TRIES):
            copy.unlink(missing_ok=True)
            copy_to(services.store, copy)
            with _opened(copy) as store:
                moment = _moment(store)
                growing = _held(Index(store.database), root, moment, stack)
            if growing is not None:
                yield Gathering(services, copy, moment, growing)
                return
    raise Conflict("Sessions end faster than they can be copied: try again in a moment.")


def _remove_left(home: Path) -> None:
    """Copies of backups that were killed."""
    for left in home.glob(f"{_COPY}*"):
        pid = left.name.removeprefix(_COPY)
        if not (pid.isdecimal() and Path("/proc", pid).exists()):
            left.unlink(missing_ok=True)


@contextmanager
def _opened(copy: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{copy}", check=False)
    try:
        yield store
    finally:
        store.close()


def _moment(store: Store) -> Moment:
    index = Index(store.database)
    newest = index.find(limit=1)
    last = newest[0].id if newest else 0
    return Moment(last, _unsettled(index, Seals(store.database)))


def _unsettled(index: Index, seals: Seals) -> frozenset[int]:
    found, after = set(index.live()), 0
    while page := seals.unsealed(1000, after):
        found.update(page)
        after = page[-1]
    return frozenset(found)


def _held(index: Index, root: Path, moment: Moment, stack: ExitStack) -> dict[str, BinaryIO] | None:
    """What is not sealed yet, open; None where one of it has changed its form meanwhile."""
    held: dict[str, BinaryIO] = {}
    for session in index.read(moment.unsettled).values():
        if session is None:
            continue
        cast = root / session.recording.path
        for path in (cast, cast.with_suffix(".sent")):
            try:
                source = stack.enter_context(path.open("rb"))
            except FileNotFoundError:
                if any(path.with_name(path.name + form).exists() for form in (ZST, ZST + AGE)):
                    return None
                continue  # it was missing before: verify says so, here and there
            held[f"{RECORDINGS}{path.relative_to(root).as_posix()}"] = source
    return held


def _files(root: Path) -> Iterator[tuple[Path, int]]:
    """The files of sessions below `root`, and whose they are: days and names in order."""
    for directory, below, names in os.walk(root):
        below.sort()
        for name in sorted(names):
            number = _NUMBER.match(name)
            if number is not None and RECORDING.fullmatch(name):
                yield Path(directory, name), int(number[1])


def _whole(name: str, file: Path) -> Iterator[Member]:
    with file.open("rb") as source:
        yield _member(name, source, file)


def _member(name: str, source: BinaryIO, file: Path) -> Member:
    """Raises Conflict for what somebody else has put there: it may be what nobody should miss."""
    if not may_be(name):
        raise Conflict(f"{str(file)!a} can't be in a backup by that name: move it away from there.")
    return Member(name, source, os.fstat(source.fileno()).st_size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
