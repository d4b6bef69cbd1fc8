"""The rules that are in force: `policy.toml` as it was last read without a mistake.

The file is read anew when it changes. One that is broken is told loudly and changes nothing: the
rules before it stay, also for a process that begins later, as each version is kept in the
database. Where there never was a good one, nothing is allowed.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from bastion import happenings
from bastion.actor import Actor
from bastion.errors import Misconfigured
from bastion.events import What
from bastion.rules import Rules, parse_rules
from bastion.store import Store, events
from bastion.store.events import Wanted
from bastion.text_files import read_text

log = logging.getLogger(__name__)

_MEND = "restore it from a copy, or write rules (docs/policy.md)"

Stamp = tuple[int, int, int] | None
"""What tells one state of a file from another: its inode, time of change (ns) and size."""


class Rulebook:
    """The rules in `file`, kept in `store`. `actor` is whose process it is that reads them.

    `problem` is what is wrong with the file as it lies there, or None.
    """

    def __init__(self, file: Path, store: Store, actor: Actor, now: Callable[[], datetime]) -> None:
        self._file = file
        self._store = store
        self._actor = actor
        self._now = now
        self._lock = threading.Lock()
        self._stamp: Stamp = (0, 0, 0)
        self._rules: Rules | None = None
        self.problem: str | None = None

    def current(self) -> Rules:
        """The rules in force. Raises Misconfigured where there never were any; Unavailable."""
        with self._lock:
            stamp = _stamp(self._file)
            if self._rules is None or stamp != self._stamp:
                self._read()
                self._stamp = stamp
            if self._rules is None:
                raise Misconfigured(f"{self.problem} No rules are in force, so nothing is allowed.")
            return self._rules

    @property
    def known(self) -> Rules | None:
        """The rules as they were read last: for whoever can't wait for a file."""
        return self._rules

    def reload(self) -> None:
        """Read the file anew, changed or not (SIGHUP)."""
        with self._lock:
            self._stamp = (0, 0, 0)
        self.current()

    def _read(self) -> None:
        try:
            rules = parse_rules(read_text(self._file, _MEND), self._file)
        except Misconfigured as error:
            self._keep_old(str(error))
            return
        kept = self._store.last_policy()
        if kept is None or kept.version != rules.version:  # most processes only look
            self._store.keep_policy(rules.text, rules.version, self._actor, self._now())
        if self._rules is not None and rules.version != self._rules.version:
            log.info("the rules have changed: %d rules, %s", len(rules.rules), rules.version[:12])
        self._rules, self.problem = rules, None

    def _keep_old(self, problem: str) -> None:
        fresh = self._rules is None
        if fresh:
            self._rules = self._kept()
        if problem == self.problem:
            return
        stay = "The rules before it stay in force." if self._rules else "Nothing is allowed."
        log.error("%s %s", problem, stay)
        if not (fresh and self._told(problem)):
            broken = happenings.by(self._actor, What.RULES_BROKEN, why=problem)
            self._store.tell(broken, self._now())
        self.problem = problem

    def _kept(self) -> Rules | None:
        """The last good rules; none where those of an older bastion can't be read any more.

        Only those that the log knows of: it is sealed, while the table could be written to.
        """
        kept = self._store.last_policy()
        try:
            rules = None if kept is None else parse_rules(kept.text, "The rules kept before")
        except Misconfigured as error:
            log.error("%s", error)
            return None
        if rules is not None and rules.version != self._logged():
            log.error("The rules kept before are not those that the log knows of.")
            return None
        return rules

    def _logged(self) -> object:
        """The version of the rules that came into force last, as the log has it."""
        with self._store.read() as connection:
            last = events.find(connection, Wanted(what=frozenset({What.RULES_CHANGED})), limit=1)
        return last[0].happened.details.get("version") if last else None

    def _told(self, problem: str) -> bool:
        """Whether another process has told of it: each command line is a process of its own."""
        wanted = Wanted(what=frozenset({What.RULES_BROKEN, What.RULES_CHANGED}))
        with self._store.read() as connection:
            last = events.find(connection, wanted, limit=1)
        return bool(last) and last[0].happened.why == problem


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
