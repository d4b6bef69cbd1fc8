"""The doorbook: who came in and left, in few transactions, and nobody waits for them."""

import asyncio
from collections.abc import Sequence

from bastion.crew import Crew
from bastion.doorbook import NOT_KEPT, Doorbook
from bastion.errors import Unavailable
from bastion.jumps import Passage
from recorder import Arrears
from tests.bastion.logs import Ticking


class Pages:
    """What the store would keep, in transactions; away the first `away` times."""

    def __init__(self, away: int = 0) -> None:
        self.kept: list[list[tuple[int, str | None]]] = []
        self.away = away

    def keep(self, passages: Sequence[Passage]) -> None:
        """One transaction."""
        if self.away:
            self.away -= 1
            raise Unavailable("The database is busy.")
        self.kept.append([(each.connection, each.login) for each in passages])


async def written(pages: Pages) -> None:
    """Three lines, one of them of a jump that was not kept; and one more when these are done."""
    arrears = Arrears(Unavailable)
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(arrears.keep())
        crew = Crew(group)
        book = Doorbook(pages.keep, Ticking(), arrears, crew)
        book.came_in(1, "deploy")
        book.left(1)
        book.left(NOT_KEPT)
        await crew.settle(10)
        book.left(2)
        await crew.settle(10)
        keeper.cancel()
        arrears.close()


async def test_what_comes_in_a_moment_is_one_transaction() -> None:
    """In the order in which it came; what comes later is written then."""
    pages = Pages()
    await written(pages)
    assert pages.kept == [[(1, "deploy"), (1, None)], [(2, None)]]


async def test_lines_wait_for_the_database() -> None:
    """None is left out, and none overtakes another."""
    pages = Pages(away=1)
    await written(pages)
    assert pages.kept == [[(1, "deploy"), (1, None)], [(2, None)]]
