"""A signer for tests: the real service, in a thread of this process."""

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Self

from bastion.authority import Which, read_public_key_file
from bastion.authority.keyfiles import make_keys
from bastion.inventory import PublicKey
from bastion.signing import service
from bastion.signing.vault import Place


class Running:
    """A signer with its own directory; to be entered, and it signs until the end of the block."""

    def __init__(self, directory: Path, now: Callable[[], datetime]) -> None:
        """One whose directory is there already."""
        self.place = Place(directory)
        self.clock = 0.0
        self._now = now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def made(cls, directory: Path, limits: str, now: Callable[[], datetime]) -> Self:
        """One with fresh keys."""
        place = Place(directory)
        for each in (place.directory, place.keys, place.book):
            each.mkdir(mode=0o700)
        make_keys(place.keys)
        (place.keys / "host").unlink()
        place.limits.write_text(limits)
        return cls(directory, now)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Until it signs."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        await service.serve(
            self.place, lambda _: ready.set(), self._over, self._now, lambda: self.clock
        )

    def stop(self) -> None:
        """Ends it."""
        if self._loop is not None and self._over is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._loop = None

    def public(self, which: Which) -> PublicKey:
        """The public half of one of its keys."""
        return read_public_key_file(self.place.keys / f"{which}.pub")

    def lines(self) -> list[dict[str, object]]:
        """Its book."""
        (file,) = self.place.book.iterdir()
        return [json.loads(line) for line in file.read_text().splitlines()]
