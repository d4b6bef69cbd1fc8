"""Reloading: what SIGHUP makes of the settings.

They are handed out once, when the service starts, so that all of its processes go by the same ones,
also those that are started again later. What lies in the file now is held against them and told:
a mistake, or what counts only from the next start on.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel

from bastion.config import Settings
from bastion.errors import Misconfigured
from bastion.home import Home
from bastion.text_files import read_text

log = logging.getLogger(__name__)

MOST = 20
"""Settings that are named in one line."""


@dataclass(frozen=True, slots=True)
class Started:
    """What serves `home` was started with: `settings`, and the `text` that they stood in."""

    home: Home
    settings: Settings
    text: str = ""

    @classmethod
    def read(cls, home: Home) -> Self:
        """From the file as it lies there. Raises Misconfigured."""
        text = read_text(home.settings, "restore it from a copy")
        return cls(home, Settings.parse(text, home.settings), text)

    async def heed(self) -> None:
        """Read the file anew, and say what came of it: somebody waits to hear it."""
        try:
            found = await asyncio.to_thread(self.read, self.home)
        except Misconfigured as error:
            log.error("the settings stay as they were: %s", error)
            return
        names = differing(self.settings, found.settings)
        if names:
            named = ", ".join(names[:MOST]) + (" and more" if names[MOST:] else "")
            log.warning("settings have changed, and count from the next start on: %s", named)
        else:
            log.info("the settings are as they were")


def differing(before: BaseModel, after: BaseModel, table: str = "") -> list[str]:
    """The names of the settings that are not alike, as in `limits.drain`."""
    names: list[str] = []
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, BaseModel) and isinstance(new, BaseModel):
            names += differing(old, new, f"{table}{name}.")
        elif old != new:
            names.append(f"{table}{name}")
    return names
