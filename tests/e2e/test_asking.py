"""Asking and approving with the real ssh: several people, several keys, lost quotes, a terminal."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.test_certificate import SK_DUMMY
from tests.e2e.warm import Warm

RULES = """
[[rule]]
name = "by hand"
who = ["@contractors"]
hosts = ["{host}"]
logins = ["{login}"]
allow = ["command"]
longest = "1h"
approvals = [{{ from = ["@owners"] }}]
approver_keys = "hardware"

[[rule]]
name = "contractors"
who = ["@contractors"]
hosts = ["{host}"]
logins = ["{login}"]
allow = ["shell"]
longest = "4h"
ticket = "OPS-[0-9]+"
approvals = [{{ from = ["@leads"], count = 2 }}]

[[rule]]
name = "on-call"
who = ["@on-call"]
hosts = ["*"]
logins = ["{login}"]
allow = ["shell"]
longest = "30m"
emergency = true
"""


@dataclass(frozen=True)
class House:
    """A bastion with rules, and the people of these tests."""

    bastion: Bastion
    alice: Contractor
    bob: Contractor
    carol: Contractor
    dora: Contractor


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, warm: Warm) -> Iterator[House]:
    """Alice asks, bob and carol are leads, dora looks back."""
    place = tmp_path_factory.mktemp("asking")
    bastion = Bastion(place / "home", warm)
    (bastion.home / "policy.toml").write_text(RULES.format(host=HOST, login=sshd.login))
    sshd.trust(bastion.admin_now("ca", "show", "target").out)
    pinned = ("--host-key", str(sshd.host_key_file), "--shell-type", "bash")
    bastion.admin_now("host", "add", HOST, "--address", sshd.address, *pinned)

    def enrol(name: str, *more: str) -> Contractor:
        person = Contractor(place / name, name, bastion, sshd.login)
        bastion.admin_now("user", "add", name, "--key", str(person.public_key), *more)
        return person

    bastion.start()
    yield House(
        bastion,
        alice=enrol("alice", "--group", "contractors"),
        bob=enrol("bob", "--role", "approver", "--group", "leads", "--group", "owners"),
        carol=enrol("carol", "--role", "approver", "--group", "leads"),
        dora=enrol("dora", "--role", "auditor"),
    )
    bastion.stop()


@pytest.fixture
async def closed(house: House) -> AsyncIterator[None]:
    """Ends what a test has left open."""
    yield
    for grant in await house.bastion.rows("grants", "--live"):
        await house.bastion.admin("revoke", grant["id"], "--reason", "the test is over")


async def told_of(house: House, grant: str) -> set[str]:
    """What the log has of a grant."""
    told = await house.dora.ssh("bastion", "audit", "--grant", grant, "--json")
    return {json.loads(event)["what"] for event in told.out.splitlines()}


async def test_two_people_agree_and_a_session_is_recorded(house: House, closed: None) -> None:
    """Without quotes, waiting; the first yes is told, the second opens, revoke shuts."""
    words = f"request {HOST} --login {house.alice.login} --shell --for 2h --ticket OPS-7"
    line = f"{words} --reason the disk's full; it can't wait --wait"
    async with house.alice.start("bastion", *line.split()) as waiting:
        asked = await waiting.stdout.expect(r"R-\d+")
        number = asked[0].decode()
        await waiting.stderr.expect("2 of @leads")
        first = await house.bob.ssh("bastion", "approve", number, "--comment", "go", "on")
        assert first.status == 0, first.err
        assert "one of @leads" in first.out + first.err
        again = await house.bob.ssh("bastion", "approve", number)
        assert (again.status, again.out) == (1, "")
        assert "approved" in again.err
        await waiting.stderr.expect("bob")
        second = await house.carol.ssh("bastion", "approve", number, "--for", "1h")
        assert second.status == 0, second.err
        grant = await waiting.stderr.expect(r"G-\d+")
        assert await waiting.wait() == 0
    await house.alice.certified()
    async with house.alice.jump_terminal() as shell:
        await shell.expect("recorded as S-")
        ended = await house.carol.ssh(
            "bastion", "revoke", grant[0].decode(), "--reason", "not", "needed", "any", "more"
        )
        assert ended.status == 0, ended.err
        await shell.expect("was revoked; this session is over")
        assert await shell.wait() == 255
    due = {"grant.given", "grant.revoked", "session.started", "session.ended"}
    async with asyncio.timeout(10):  # an end is told a moment after it was felt
        while due - await told_of(house, grant[0].decode()):
            pass
    story = await house.dora.ssh("bastion", "audit", "--request", number, "--json")
    reasons = {json.loads(event)["why"] for event in story.out.splitlines()}
    assert {"the disk's full; it can't wait", "go on"} <= reasons


async def test_everything_that_is_missing_is_named_at_once(house: House) -> None:
    """No prompt without a terminal; nothing was asked for."""
    done = await house.alice.ssh("bastion", "request", HOST)
    assert (done.status, done.out) == (2, "")
    for word in ("--login", "--for", "--reason"):
        assert word in done.err
    words = f"request {HOST} --login {house.alice.login} --shell --for 1h --reason look".split()
    done = await house.alice.ssh("bastion", *words)
    assert (done.status, done.out) == (2, "")
    assert "ticket" in done.err


async def test_on_a_terminal_what_is_missing_is_asked_for(house: House, closed: None) -> None:
    """One line after the other; then it waits for others like any request."""
    async with house.alice.terminal("-t", "bastion", "request", HOST) as terminal:
        for question, answer in (
            ("As whom", house.alice.login),
            ("A shell", "shell"),
            ("how long", "1h"),
            ("Why", "a look at the disk"),
            ("ticket", "OPS-12"),
        ):
            await terminal.expect(question)
            terminal.send(f"{answer}\r")
        await terminal.expect(r"R-\d+")
        assert await terminal.wait() == 0
    mine = await house.alice.ssh("bastion", "status", "--json")
    assert "a look at the disk" in mine.out


async def test_nobody_approves_her_own_request(house: House) -> None:
    """Not with the requester's key, nor does a contractor have the verb."""
    words = f"request {HOST} --login {house.alice.login} --shell --for 1h --ticket OPS-1"
    asked = await house.alice.ssh("bastion", *words.split(), "--reason", "x")
    number = asked.out.strip()
    done = await house.alice.ssh("bastion", "approve", number)
    assert done.status == 2, done.err
    given_back = await house.alice.ssh("bastion", "cancel", number)
    assert given_back.status == 0, given_back.err
    late = await house.bob.ssh("bastion", "approve", number)
    assert late.status == 1
    assert "withdrawn by alice" in late.err


@pytest.mark.skipif(not SK_DUMMY.exists(), reason="needs Debian's openssh-tests")
async def test_a_rule_may_want_a_hardware_key_of_the_approver(
    house: House, tmp_path: Path, closed: None
) -> None:
    """With the key file bob is turned away, with the (pretended) token he is not."""
    login = house.alice.login
    words = f"request {HOST} --login {login} --for 30m --reason restart it -- systemctl status ssh"
    asked = await house.alice.ssh("bastion", *words.split())
    assert asked.status == 0, asked.err
    number = asked.out.strip()
    plain = await house.bob.ssh("bastion", "approve", number)
    assert plain.status == 1
    assert "hardware key" in plain.err
    token = tmp_path / "id_sk"
    make = ("ssh-keygen", "-q", "-t", "ed25519-sk", "-w", str(SK_DUMMY), "-N", "", "-f")
    made = await house.bob.run(*make, str(token))
    assert made.status == 0, made.err
    await house.bastion.admin("user", "key", "add", "bob", f"{token}.pub")
    options = (
        "-i",
        str(token),
        "-o",
        f"SecurityKeyProvider={SK_DUMMY}",
        "-o",
        "IdentitiesOnly=yes",
    )
    done = await house.bob.ssh(*options, "bastion", "approve", number)
    assert done.status == 0, done.err
    await house.alice.certified()
    ran = await house.alice.jump("systemctl", "status", "ssh")
    assert ran.status != 254, ran.err
    refused = await house.alice.jump("systemctl", "status", "cron")
    assert refused.status == 254


async def test_break_glass_is_open_until_somebody_has_looked(
    house: House, tmp_path: Path, closed: None
) -> None:
    """At once and for a short time; an auditor closes it, and not the one who broke the glass."""
    erin = Contractor(tmp_path / "erin", "erin", house.bastion, house.alice.login)
    key = str(erin.public_key)
    await house.bastion.admin("user", "add", "erin", "--key", key, "--group", "on-call")
    words = f"request {HOST} --login {erin.login} --shell --for 20m --break-glass --reason it burns"
    done = await erin.ssh("bastion", *words.split())
    assert done.status == 0, done.err
    grant = re.search(r"G-\d+", done.out + done.err)
    assert grant
    await erin.certified()
    assert (await erin.jump("echo", "in")).out == "in\n"
    listed = await house.dora.ssh("bastion", "review", "--json")
    assert grant[0] in listed.out
    early = await house.dora.ssh("bastion", "review", grant[0], "--comment", "fine")
    assert (early.status, "still open" in early.err) == (1, True)
    await house.bastion.admin("revoke", grant[0], "--reason", "the fire is out")
    closed_by = await house.dora.ssh(
        "bastion", "review", grant[0], "--comment", "it", "did", "burn"
    )
    assert closed_by.status == 0, closed_by.err
    assert grant[0] not in (await house.dora.ssh("bastion", "review", "--json")).out


async def test_extending_lets_a_live_session_go_on(house: House, closed: None) -> None:
    """The first approver's word waits, the second one's counts; nobody is thrown out."""
    words = f"request {HOST} --login {house.alice.login} --shell --for 1h --ticket OPS-3"
    asked = await house.alice.ssh("bastion", *words.split(), "--reason", "x")
    number = asked.out.strip()
    first = await house.bob.ssh("bastion", "approve", number)
    assert first.status == 0, first.err
    done = await house.carol.ssh("bastion", "approve", number)
    assert done.status == 0, done.err
    grant = re.search(r"G-\d+", done.out + done.err)
    assert grant
    before = (await house.bastion.rows("grants", "--live"))[0]["expires_at"]
    await house.alice.certified()
    async with house.alice.jump_terminal() as shell:
        await shell.expect("recorded as S-")
        one = await house.bob.ssh("bastion", "extend", grant[0], "--for", "1h")
        assert one.status == 0, one.err
        assert (await house.bastion.rows("grants", "--live"))[0]["expires_at"] == before
        other = await house.carol.ssh("bastion", "extend", grant[0], "--for", "1h")
        assert other.status == 0, other.err
        assert (await house.bastion.rows("grants", "--live"))[0]["expires_at"] > before
        shell.send("echo still $((1+1)) here\r")
        await shell.expect("still 2 here")
        shell.send("exit\r")
        assert await shell.wait() == 0


async def test_a_contractor_who_leaves_ends_the_waiting(house: House) -> None:
    """ctrl-c on a terminal: the request stays, and it says so; the verbs go on for others."""
    words = f"request {HOST} --login {house.alice.login} --shell --for 1h --ticket OPS-9 --wait"
    async with house.alice.terminal("-t", "bastion", *words.split(), "--reason", "x") as terminal:
        await terminal.expect(r"R-\d+")
        await asyncio.sleep(0)
        terminal.send("\x03")
        assert await terminal.wait() != 0
    done = await house.alice.ssh("bastion", "status")
    assert done.status == 0
