"""A session that somebody has to watch: it is frozen while nobody does, and says so, and is told.

Who watches, `live` finds out; what freezing is, is the session's own affair.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from bastion.durations import format_duration
from bastion.events import Happened, What
from bastion.happenings import of_watch
from bastion.vigil import Change, Vigil
from recorder.session import EndReason, SessionInfo, session_name


class Freezable(Protocol):
    """The client's side of a session."""

    def freeze(self, sentence: str) -> None:
        """Let nothing pass, and say why."""

    def go_on(self, sentence: str) -> None:
        """Let it pass again, or for the first time."""

    def cut(self, reason: EndReason, sentence: str) -> None:
        """End it now, with a last line."""


class Watched:
    """The session `S-<session>`, with its client's `side`; nobody watches it yet, at `now`.

    `patience` is how long it may wait, each time. `tell` keeps an event. Where its recording
    `hides` something, nobody can watch it any more, and it ends.
    """

    def __init__(
        self,
        session: int,
        info: SessionInfo,
        side: Freezable,
        patience: timedelta,
        *,
        hides: Callable[[], bool],
        tell: Callable[[Happened], None],
        now: datetime,
    ) -> None:
        self._session = session
        self._info = info
        self._side = side
        self._patience = patience
        self._hides = hides
        self._tell = tell
        self._vigil = Vigil(patience, now)
        self._announced = False

    def heed(self, watchers: Sequence[str], now: datetime) -> None:
        """These are there, as far as they count."""
        if self._hides():
            full = f"the recording of {session_name(self._session)} is full, so nobody can watch on"
            self._side.cut(EndReason.LIMIT, f"{full}; this session is over.")
            return
        if not self._announced:  # not before: that it has begun is told first
            self._announced = True
            self._told(What.SESSION_WAITING)
        since, begun, name = self._vigil.alone_since, self._vigil.begun, session_name(self._session)
        match self._vigil.judge(watched=bool(watchers), now=now):
            case Change.GO_ON:
                waited = now - since if since is not None else timedelta()
                self._told(What.SESSION_RESUMED, watchers, waited)
                goes_on = "it goes on" if begun else "it begins"
                self._side.go_on(f"somebody watches {name} now; {goes_on}.")
            case Change.FREEZE:
                self._told(What.SESSION_FROZEN)
                self._side.freeze(f"nobody watches {name} any more; it waits until somebody does.")
            case Change.GIVE_UP:
                what = "this session is over" if begun else "nothing was started"
                waited_for = format_duration(self._patience)
                sentence = f"nobody came to watch {name} for {waited_for}, so {what}."
                self._side.cut(EndReason.LIMIT, sentence)

    def _told(
        self, what: What, watchers: Sequence[str] = (), waited: timedelta = timedelta()
    ) -> None:
        self._tell(of_watch(what, self._session, self._info, watchers, waited))


def waits(session: int) -> str:
    """What somebody hears whose session nobody watches yet."""
    name = session_name(session)
    return f"{name} waits for an auditor who watches; ask one to run: ssh bastion watch {name}"
