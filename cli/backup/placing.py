"""Placing: a backup that was checked becomes the parts of a home; and what is wrong with them is
found before anybody leans on them.
"""

import hashlib
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from bastion import app
from bastion.actor import Actor
from bastion.config import Settings
from bastion.errors import BadInput
from bastion.events import Details, Happened, What
from bastion.home import Home
from bastion.shutting import Shut, Shutting
from bastion.store import Store
from bastion.store.copying import leap
from cli.backup.checking import Checked
from cli.backup.members import ABOUT, DATABASE, SIGNATURE, SUMS, Entry
from cli.backup.pouring import draw
from cli.backup.unpacking import Taker, Unpacking
from recorder.age import Identity

NOT_PLACED: Final = (ABOUT, SUMS, SIGNATURE)
SHUT: Final = "the database was restored from a copy of {at}"


@dataclass(slots=True)
class _Writing:
    """Takes a member into a new file that only its owner reads."""

    file: BinaryIO
    name: str
    sha256: bytes
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self.file.write(data)

    def close(self) -> None:
        self.file.close()
        if self.digest.digest() != self.sha256:
            raise BadInput(f"{self.name} in it was changed while it was read")


class _Nowhere:
    def write(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def place(file: BinaryIO, identity: Identity | None, checked: Checked, home: Home) -> None:
    """Write what was checked into the directory of `home`, which is empty.

    Raises BadInput where the file is another one by now; OSError.
    """
    directories = {home.directory}

    def take(entry: Entry) -> Taker:
        if entry.name in NOT_PLACED:
            return _Nowhere()
        if entry.name not in checked.sums:
            raise BadInput(f"{entry.name} was added to it while it was read")
        path = home.directory / entry.name
        for directory in reversed(path.relative_to(home.directory).parents[:-1]):
            _make(home.directory / directory, directories)
        return _Writing(open(path, "xb", opener=_private), entry.name, checked.sums[entry.name])

    for directory in (home.keys, home.recordings):
        _make(directory, directories)
    unpacking = Unpacking(take)
    draw(file, unpacking, identity)
    unpacking.finish()
    os.sync()  # once for all: there may be a million of them


def open_again(
    home: Home, checked: Checked, actor: Actor, now: datetime, *, keep_access: bool
) -> Shut | None:
    """What was placed is looked at: settings, keys, database; and access is taken back.

    None where that is not done, as there is no database in it or somebody said to keep it. Raises
    Misconfigured, Unavailable.
    """
    settings = Settings.read(home)
    if checked.about.keys and settings.signer_socket is None:
        app.authority_of(home, app.signer_of(settings))
    if DATABASE not in checked.sums:
        return None
    url = f"sqlite:///{home.directory / DATABASE}"
    store = Store.open(url, migrate=True, node=settings.node or None)
    try:
        store.demand_right_clock(now)
        leap(store)
        store.end_runners([each.boot for each in store.runners()], now)  # they serve another home
        store.tell(_restored(checked, actor, keep_access=keep_access), now)
        if keep_access:
            return None
        reason = SHUT.format(at=checked.about.made_at.strftime("%Y-%m-%d %H:%M UTC"))
        return Shutting(store, actor, reason).everything(now)
    finally:
        store.close()


def _restored(checked: Checked, actor: Actor, *, keep_access: bool) -> Happened:
    details: dict[str, Details] = {
        "made_at": checked.about.made_at.isoformat(),
        "sha256": checked.sha256,
        "seal": checked.signed_by.fingerprint,
        "keep_access": keep_access,
    }
    return Happened(
        What.HOME_RESTORED, actor.name, actor.source, account=actor.account, details=details
    )


def _make(directory: Path, made: set[Path]) -> None:
    if directory not in made:
        directory.mkdir(mode=0o700, exist_ok=True)
        directory.chmod(0o700)
        made.add(directory)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
