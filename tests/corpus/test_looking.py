"""Looking: recordings, live and over, are seen by auditors, and each look is told first.

Seen elsewhere: a live view or a replay that anybody could read (Warpgate CVE-2026-63330, JumpServer
CVE-2023-42442); what was typed, in the clear for every auditor. And what was found here: a bastion
that stood still because of whom somebody watched.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import asyncssh
import pytest
from sqlalchemy import text

from bastion.events import What
from bastion.inventory import Role
from tests.corpus.world import OPERATOR, Person, World, until

SECRET = "correct horse battery staple"
SHOWN = "seen by auditors only"


@pytest.fixture
async def live(world: World) -> AsyncIterator[asyncssh.SSHClientProcess[str]]:
    """Alice has shown something and typed something; S-1 goes on."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        line = f"echo '{SHOWN}'; read -r x; read -r x"
        process = await inner.create_process(line, term_type="xterm", term_size=(80, 24))
        await process.stdout.readuntil(SHOWN)
        process.stdin.write(f"{SECRET}\r")
        yield process


def looks(world: World) -> list[str]:
    """Who looked at what, and how, the oldest first."""
    told = [event.happened for event in world.services.journal.after(0)]
    found = [each for each in told if each.what is What.RECORDING_LOOKED_AT]
    return [f"{each.actor} S-{each.session} {each.details['how']}" for each in found]


async def heard(world: World, person: Person, line: str, **more: object) -> tuple[int | None, str]:
    """`ssh bastion LINE`: its exit status, and all that was said."""
    async with world.outer(person.key, name=person.name) as connection:
        done = await connection.run(line, encoding="latin-1", **more)  # type: ignore[arg-type]
        return done.exit_status, f"{done.stdout!s}{done.stderr!s}"


WAYS = (
    *("watch S-1", "replay S-1", "export S-1", "export S-1 --raw stdout", "export S-1 --raw sent"),
    *("transcript S-1", "search auditors", "verify S-1", "show S-1", "files --session S-1"),
    *("WATCH S-1", "watch  S-1", " watch S-1", "'watch' S-1", "status watch S-1", "-- watch S-1"),
    *("help watch S-1", "watch S-1; status", "status; watch S-1", "status\nwatch S-1"),
    *("--home . watch S-1", "bastion-admin watch S-1", "audit watch S-1", "policy watch S-1"),
)


@pytest.mark.parametrize("roles", [(Role.CONTRACTOR,), (Role.APPROVER,), ()])
async def test_nobody_but_auditors_sees_anything(
    world: World, live: object, roles: tuple[Role, ...]
) -> None:
    """Not even whoever is in the session: nothing is said of it, in whatever words one asks."""
    for person in (world.enrol("mallory", *roles), world.people["alice"]):
        async with world.outer(person.key, name=person.name) as connection:
            for line in WAYS:
                for term in (None, "xterm"):
                    done = await connection.run(line, term_type=term)
                    said = f"{done.stdout!s}{done.stderr!s}"
                    assert SHOWN not in said, line
                    assert '"version"' not in said, line
                    assert done.exit_status in (1, 2) or line.startswith("status"), (line, said)
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.start_sftp_client()
    assert looks(world) == []


async def test_each_way_to_look_is_told(world: World, live: object) -> None:
    """In the name of whoever looks, before a byte of it is there."""
    rita = world.enrol("rita", Role.AUDITOR)
    for line in ("replay S-1", "export S-1", "export S-1 --raw stdout", "export S-1 --raw sent"):
        status, said = await heard(world, rita, line)
        assert status == 0
        assert (SHOWN in said) is not line.endswith("sent")
    assert looks(world) == [
        *("rita S-1 replay", "rita S-1 export", "rita S-1 export stdout", "rita S-1 export sent")
    ]


async def test_a_look_that_cannot_be_told_is_none(world: World, live: object) -> None:
    """Where the log can't be written, nothing is shown."""
    rita = world.enrol("rita", Role.AUDITOR)
    with world.services.store.database.write() as connection:
        connection.execute(text("ALTER TABLE events RENAME TO hidden"))
    for line in ("replay S-1", "watch S-1", "export S-1", "transcript S-1"):
        status, said = await heard(world, rita, line)
        assert status == 1, line
        assert SHOWN not in said
    with world.services.store.database.write() as connection:
        connection.execute(text("ALTER TABLE hidden RENAME TO events"))
    assert looks(world) == []


async def test_what_was_typed_is_read_by_nobody_on_the_bastion(world: World, live: object) -> None:
    """An auditor gets it encrypted; no remote verb takes a key, in whatever words."""
    rita = world.enrol("rita", Role.AUDITOR, Role.ADMIN)
    key = str(world.services.home.auditor)
    assert world.services.home.auditor.exists()
    for line in (
        "export S-1 --raw sent",
        "export S-1 --raw stdin",
        f"export S-1 --raw stdin --identity {key}",
        f"export S-1 --raw=stdin --identity={key}",
        f"replay S-1 --input --identity {key}",
        f"replay S-1 --input --identity {key} --unmask",
        "replay S-1 --input",
        f"transcript S-1 --input --identity {key}",
        f"watch S-1 --identity {key}",
    ):
        status, said = await heard(world, rita, line)
        assert SECRET not in said
        assert status == (0 if line.endswith("sent") else 2), said


@pytest.mark.parametrize("taken", ["role", "account", "key"])
async def test_who_may_not_look_any_more_looks_no_more(
    world: World, live: asyncssh.SSHClientProcess[str], taken: str
) -> None:
    """Soon, in the middle of a look that nothing interrupts, and at the next one."""
    rita = world.enrol("rita", Role.AUDITOR)
    store, user = world.services.store, world.services.store.user("rita")
    assert user is not None
    changes: dict[str, Callable[[], object]] = {
        "role": lambda: store.update_user(
            replace(user, roles=frozenset({Role.APPROVER})), OPERATOR, world.now
        ),
        "account": lambda: store.update_user(
            replace(user, disabled_at=world.now), OPERATOR, world.now
        ),
        "key": lambda: store.remove_key("rita", rita.public.fingerprint, OPERATOR, world.now),
    }
    async with world.outer(rita.key, name="rita") as connection:
        watching = await connection.create_process("watch S-1", term_type="xterm")
        await watching.stdout.readuntil(SHOWN)
        changes[taken]()
        async with asyncio.timeout(3):
            rest = await watching.stdout.read()
            await watching.wait_closed()
        assert (taken == "role") == ("Your roles have changed meanwhile" in rest)
    live.stdin.write("later\r")


async def test_a_recording_that_costs_much_to_draw_stops_nobody(world: World) -> None:
    """A huge terminal that is cleared again and again, while five people watch it."""
    alice, rita = world.contractor(), world.enrol("rita", Role.AUDITOR)
    bob = world.enrol("bob")
    flood = r"while :; do printf '\033[2J\033[9999S\033[H\033[9999M%.0s' 1 2 3 4 5 6 7 8; done"
    async with world.jump(alice) as inner, world.outer(rita.key, name="rita") as connection:
        await inner.create_process(flood, term_type="xterm", term_size=(60_000, 60_000))
        await until(lambda: bool(world.sessions))
        watching = [await connection.create_process("watch S-1") for _ in range(5)]
        for each in watching:
            async with asyncio.timeout(10):
                assert await each.stdout.read(64)
        async with world.outer(bob.key, name="bob") as other:
            slowest = 0.0
            for _ in range(10):
                begun = time.monotonic()
                assert (await other.run("status")).exit_status == 0
                slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 2
