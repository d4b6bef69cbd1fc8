"""Recovering: what nobody came to tell of those who are gone is told, and nothing twice."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from bastion import recovering
from bastion.events import What
from bastion.presence import Presence
from bastion.recovering import Recovering
from bastion.store import Store
from bastion.store.journal import Journal
from recorder import Archive, EndReason, Index, Kind, Session, SessionInfo
from recorder.session import Ending, Stored
from tests.bastion.worlds import NOW, SECOND
from tests.postgres import url_again

INFO = SessionInfo(
    connection=1,
    user="alice",
    grant=1,
    host="web",
    login="deploy",
    kind=Kind.SHELL,
    source="192.0.2.7",
)


@pytest.fixture
def other(store: Store) -> Iterator[Store]:
    """A worker's, on the same database."""
    with closing(Store.open(url_again(store), node=store.chain.node)) as opened:
        yield opened


class Mended:
    """An archive with nothing but rows: what is `mine` is interrupted. `meanwhile` happens then."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.meanwhile: Callable[[], object] = lambda: None

    async def recover(self, mine: Callable[[Session], bool]) -> list[str]:
        for session in filter(mine, self._index.find()):
            if session.live:
                over(self._index, session)
        self.meanwhile()
        return []

    async def recover_lost(self, runners: frozenset[str]) -> list[str]:
        return []


def began(store: Store) -> Session:
    return Index(store.database, store.chain.boot).add(INFO, NOW, lambda number: f"S-{number}")


def over(index: Index, session: Session) -> None:
    ending = Ending(reason=EndReason.INTERRUPTED, at=NOW + SECOND)
    assert index.complete(session.id, ending, Stored(f"S-{session.id}"))


def told(store: Store) -> list[int]:
    happened = (event.happened for event in Journal(store).events())
    return sorted(each.session or 0 for each in happened if each.what is What.SESSION_ENDED)


def recovered(store: Store, run: Path, meanwhile: Callable[[], object] = lambda: None) -> None:
    index = Index(store.database)
    archive = Mended(index)
    archive.meanwhile = meanwhile
    steward = Recovering(
        store,
        Journal(store),
        index=index,
        archive=cast(Archive, archive),
        presence=Presence(run),
        now=lambda: NOW + SECOND,
    )
    asyncio.run(steward.everything())


def test_the_end_of_what_began_long_ago_is_told(
    store: Store, other: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed worker's oldest session, and one that had ended a moment before, are not among the
    newest: it has carried more than that."""
    monkeypatch.setattr(recovering, "NEWEST", 1)
    with Presence(tmp_path).held(other.chain.boot):
        other.enter_runner(NOW)
        sessions = [began(other) for _ in range(3)]
        over(Index(other.database, other.chain.boot), sessions[1])
    recovered(store, tmp_path)
    assert told(store) == [each.id for each in sessions]


def test_who_enters_meanwhile_tells_its_own(store: Store, other: Store, tmp_path: Path) -> None:
    """Its events wait a moment: whoever tells them in its place has them told twice."""

    def enters() -> None:
        other.enter_runner(NOW)
        over(Index(other.database, other.chain.boot), began(other))

    recovered(store, tmp_path, meanwhile=enters)
    assert told(store) == []
