"""What is refused, and where it is heard: one calm sentence, and an end at once.

A refusal at the first door is spoken inside, where an error of the channel would be lost: after the
host certificate, or before any key is shown where the client can't know that host.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.client import Client, make_key
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.watching import Result

NOW = 10.0
"""Seconds within which a refusal has to be over."""

Enrol = Callable[[], Contractor]


def told(done: Result) -> str:
    """Our one line on stderr."""
    lines = [line for line in done.err.splitlines() if line.startswith("bastion: ")]
    assert len(lines) == 1, done.err
    assert done.stdout == b""
    return lines[0]


def turned_away(done: Result) -> str:
    """Our one sentence, as the client tells why it was disconnected."""
    said = re.fullmatch(
        r"Received disconnect from UNKNOWN port 65535:1: (bastion: [^\r\n]+)\r?\n"
        r"Disconnected from UNKNOWN port 65535\r?\n",
        done.err,
    )
    assert said, done.err
    assert (done.stdout, done.status) == (b"", 255)
    return said[1]


# Door 1


async def test_unknown_and_forbidden_hosts_sound_alike(alice: Contractor) -> None:
    """Nobody learns from a refusal what the inventory holds: text and status are the same."""
    unknown = await alice.jump("true", host="nowhere", patience=NOW)
    forbidden = await alice.jump("true", host="other-host", patience=NOW)
    heard = {turned_away(unknown), turned_away(forbidden).replace("other-host", "nowhere")}
    assert heard == {"bastion: you have no access to nowhere; see what you have: ssh bastion"}
    assert unknown.err.replace("nowhere", "X") == forbidden.err.replace("other-host", "X")


async def test_a_mistyped_host_is_told_of_and_not_asked_about(
    alice: Contractor, bastion: Bastion
) -> None:
    """Whoever pasted what `trust` gives trusts no key for other names: ssh would ask whether the
    host is authentic, or give up with a word about keys. It is shown none."""
    everywhere = alice.known_hosts.read_text()
    pasted = await bastion.admin("trust", alice.name)
    alice.known_hosts.write_text(pasted.out)
    try:
        for host in ("nowhere", "other-host"):
            done = await alice.jump("true", host=host, patience=NOW)
            assert f"you have no access to {host}" in turned_away(done)
        assert (await alice.jump("true")).status == 0
    finally:
        alice.known_hosts.write_text(everywhere)


@pytest.mark.parametrize("port", ["23", "80"])
async def test_other_ports_sound_alike_too(alice: Contractor, port: str) -> None:
    """Another port of a host that is known, forbidden or granted is refused as one thing."""
    heard = set()
    for host in ("nowhere", "other-host", HOST):
        done = await alice.ssh("-W", f"{host}:{port}", "bastion", stdin=None, patience=NOW)
        assert done.status == 255
        heard.add((done.stdout, done.err.replace(host, "X")))
    assert len(heard) == 1, heard
    assert "administratively prohibited" in heard.pop()[1]


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1"])
async def test_no_address_leads_anywhere(alice: Contractor, name: str) -> None:
    """What a client sends is a name of the inventory, or unknown like any other."""
    done = await alice.jump("true", host=name, patience=NOW)
    assert f"you have no access to {name}" in turned_away(done)


@pytest.mark.parametrize("name", ["::1", "a b", "-oProxyCommand=x", "a;id", "x" * 300, "ä", "."])
async def test_what_is_no_name_is_refused_as_a_channel(alice: Contractor, name: str) -> None:
    """Nothing could be certified for it, so the refusal is the channel's own."""
    done = await alice.ssh("-W", f"[{name}]:22", "bastion", stdin=None, patience=NOW)
    assert (done.status, done.stdout) == (255, b"")
    assert "administratively prohibited: bastion: no such host" in done.err


async def test_a_refusal_is_heard_through_a_control_master(alice: Contractor, short: Path) -> None:
    """Ansible's default, ControlPersist, hides what is wrong with a channel; not our line."""
    alice.configure(f"Host *\n  ControlMaster auto\n  ControlPath {short}/%C\n  ControlPersist 5\n")
    try:
        for _ in range(2):
            done = await alice.jump("true", host="other-host", patience=NOW)
            assert "you have no access to other-host" in turned_away(done)
    finally:
        for way in ("bastion", f"{alice.login}@other-host"):
            await alice.ssh("-O", "exit", way)
        alice.configure()


async def test_without_a_certificate_the_way_to_one_is_told(newly_enrolled: Enrol) -> None:
    """A plain enrolled key opens the control plane alone; the refusal says what to type."""
    person = newly_enrolled()
    await person.granted()
    done = await person.jump("true", patience=NOW)
    assert "ssh bastion cert" in told(done)
    assert done.status == 255
    assert (await person.ssh("bastion")).status == 0


async def test_a_newer_grant_needs_a_newer_certificate(newly_enrolled: Enrol) -> None:
    """A certificate counts for the grants of its day; the refusal says how to get another."""
    person = newly_enrolled()
    await person.granted()
    await person.certified()
    await person.granted(host="other-host")
    assert (await person.jump("true")).status == 0
    assert "ssh bastion cert" in told(await person.jump("true", host="other-host", patience=NOW))
    await person.certified()
    assert (await person.jump("true", host="other-host")).status == 0


async def test_a_grant_that_has_not_begun_says_when_it_does(
    newly_enrolled: Enrol, bastion: Bastion
) -> None:
    """A grant of tomorrow lets nobody in today."""
    person = newly_enrolled()
    words = ("--host", HOST, "--login", person.login, "--shell", "--reason", "later")
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    await bastion.admin("grant", person.name, *words, "--from", f"{tomorrow}T08:00", "--for", "1h")
    assert f"begins at {tomorrow} 08:00 UTC" in told(await person.jump("true", patience=NOW))


async def test_a_revoked_grant_says_so(newly_enrolled: Enrol, bastion: Bastion) -> None:
    """After `revoke` the next jump hears when it was."""
    person = newly_enrolled()
    grant = await person.granted()
    await person.certified()
    await bastion.admin("revoke", grant, "--reason", "done")
    assert re.search(rf"{grant} was revoked at ", told(await person.jump("true", patience=NOW)))


async def test_a_disabled_user_does_not_sign_in(newly_enrolled: Enrol, bastion: Bastion) -> None:
    """Not with the key, not with the certificate; and again after `enable`."""
    person = newly_enrolled()
    await person.granted()
    await person.certified()
    await bastion.admin("user", "disable", person.name)
    for words in (("bastion",), ("-J", "bastion", f"{person.login}@{HOST}", "true")):
        done = await person.ssh(*words, patience=NOW)
        assert (done.status, done.stdout) == (255, b"")
        assert "Permission denied (publickey)" in done.err
    await bastion.admin("user", "enable", person.name)
    assert (await person.ssh("bastion")).status == 0


# Who are you


async def test_a_strange_key_does_not_sign_in(alice: Contractor, tmp_path: Path) -> None:
    """A key that nobody has enrolled is refused, whatever name it comes with."""
    make_key(tmp_path / "strange")
    line = (*strange(alice, tmp_path / "strange"), "-p", str(alice.bastion.port))
    done = await alice.run("ssh", "-F", "none", *line, f"{alice.name}@127.0.0.1", patience=NOW)
    assert done.status == 255
    assert "Permission denied (publickey)" in done.err


async def test_another_users_name_is_refused(alice: Contractor, newly_enrolled: Enrol) -> None:
    """A key belongs to one user; with another user's name it opens nothing."""
    other = newly_enrolled()
    done = await alice.ssh("-l", other.name, "bastion", patience=NOW)
    assert done.status == 255
    assert "Permission denied (publickey)" in done.err


async def test_any_other_outer_name_will_do(alice: Contractor) -> None:
    """A bare `-J bastion` sends the local account's name: it is nobody's, so it does not matter."""
    for name in ("root", "somebody", "C-1", "prod"):
        done = await alice.ssh("-l", name, "bastion")
        assert done.status == 0, done.err
        assert alice.name in done.out


async def test_passwords_are_not_asked_for(alice: Contractor) -> None:
    """The one method is publickey, outside."""
    line = ("-v", "-o", "PreferredAuthentications=password,keyboard-interactive", "bastion")
    done = await alice.ssh(*line, patience=NOW)
    assert done.status == 255
    assert "Authentications that can continue: publickey\n" in done.err.replace("\r", "")


# The second proof


async def test_a_local_forward_asks_for_a_second_proof(alice: Contractor) -> None:
    """`ssh -L` to a target's port 22: the same key signs again inside, and then it works."""
    async with forwarded(alice) as port:
        done = await alice.ssh("-p", str(port), *inside(alice), "echo in; exit 3")
        assert (done.out, done.status) == ("in\n", 3), done.err


async def test_nobody_else_comes_through_a_local_forward(
    alice: Contractor, newly_enrolled: Enrol, tmp_path: Path
) -> None:
    """Without the key that signed outside, or with another enrolled one, the tunnel is useless."""
    make_key(tmp_path / "strange")
    other = newly_enrolled()
    await other.granted()
    await other.certified()
    async with forwarded(alice) as port:
        for person, key in ((alice, tmp_path / "strange"), (other, other.key)):
            line = ("-F", "none", *strange(person, key), "-o", f"HostKeyAlias={HOST}")
            done = await person.run(
                "ssh", *line, "-p", str(port), f"{alice.login}@127.0.0.1", "id", patience=NOW
            )
            assert (done.status, done.stdout) == (255, b"")
            assert "Permission denied (publickey)" in done.err


async def test_a_jump_asks_for_no_second_proof(alice: Contractor) -> None:
    """With `-J` one signature is enough: a hardware key is touched once."""
    done = await alice.jump("true", options=("-v", "-o", "IdentityFile=none"))
    assert done.status == 0
    assert re.search(r'Authenticated to prod-host .* using "none"', done.err)


# Door 2


async def test_a_login_that_is_not_granted_hears_which_is(alice: Contractor) -> None:
    """The refusal is a command that would have worked."""
    done = await alice.ssh("-J", "bastion", f"root@{HOST}", "true", patience=NOW)
    assert f"try ssh -J bastion {alice.login}@{HOST}" in told(done) or "or ssh -J" in told(done)
    assert done.status == 255


async def test_a_login_that_would_be_an_option_is_refused(alice: Contractor) -> None:
    """Odd names are refused like any other, and not shown as they are."""
    for login in ("-oProxyCommand=x", "a b", "x" * 200, "\x1b[31m", "ä"):
        done = await alice.ssh("-J", "bastion", "-o", f"User={login}", HOST, "true", patience=NOW)
        assert done.status == 255
        assert b"\x1b" not in done.stderr


# Door 3


async def test_a_command_grant_runs_its_command_and_nothing_else(newly_enrolled: Enrol) -> None:
    """The exact words run; anything added, a terminal and sftp are refused; no shell begins."""
    person = newly_enrolled()
    await person.granted("--command", "echo one 'two  three'")
    await person.certified()
    right = await person.jump('echo "one" "two  three"')
    assert (right.out, right.status) == ("one two  three\n", 0), right.err
    for wrong in ("echo one", "echo one 'two  three'; id", "id", "bash -c 'echo one'", "$(id)"):
        done = await person.jump(wrong, patience=NOW)
        assert (done.status, done.stdout) == (254, b"")
        assert told(done)
    shell = await person.jump(stdin=b"id\n", patience=NOW)
    assert (shell.status, shell.stdout) == (254, b"")
    assert "this is no shell" in shell.err
    assert "that command is not granted here" in shell.err


async def test_a_command_grant_gets_no_terminal(newly_enrolled: Enrol) -> None:
    """On a terminal a pager could start anything: `-t` is refused with a sentence."""
    person = newly_enrolled()
    await person.granted("--command", "tty")
    await person.certified()
    async with person.jump_terminal("tty") as terminal:
        await terminal.expect("not a tty\r\n")
        assert await terminal.wait() == 1
    async with person.jump_terminal("tty", options=("-t",)) as terminal:
        await terminal.expect(r"bastion: [^\r\n]*terminal[^\r\n]*\.\r\n")
        assert await terminal.wait() in (254, 255)


async def test_the_target_enforces_the_command_too(newly_enrolled: Enrol, sshd: Sshd) -> None:
    """The certificate that goes upstream carries force-command, as the target's own log says."""
    person = newly_enrolled()
    grant = await person.granted("--command", "echo forced")
    await person.certified()
    assert (await person.jump("echo forced")).out == "forced\n"
    assert re.search(rf"ID C-\d+ {person.name} {grant} \(serial \d+\)", sshd.log)
    assert re.search(r"forced-command \(.*\) 'echo forced'", sshd.log)


# On the outer connection


@pytest.mark.parametrize(
    "forward",
    [("-R", "127.0.0.1:0:127.0.0.1:22"), ("-R", "/tmp/never:127.0.0.1:22")],
    ids=["tcp", "socket"],
)
async def test_no_remote_forward_outside(alice: Contractor, forward: tuple[str, str]) -> None:
    """`-R` at the bastion itself."""
    line = (*forward, "-o", "ExitOnForwardFailure=yes", "-N", "bastion")
    done = await alice.ssh(*line, patience=NOW)
    assert done.status == 255
    assert "remote port forwarding failed" in done.err


async def test_no_files_from_the_bastion_itself(alice: Contractor) -> None:
    """`sftp bastion` and any other subsystem."""
    done = await alice.ssh("-s", "bastion", "sftp", patience=NOW)
    assert (done.status, done.stdout) == (255, b"")


async def test_no_tunnel_device(alice: Contractor) -> None:
    """`-w` at the bastion itself."""
    done = await alice.ssh("-w", "any", "-o", "ExitOnForwardFailure=yes", "-N", "bastion")
    assert done.status == 255


async def test_an_unknown_verb_is_a_sentence(alice: Contractor) -> None:
    """The control plane is no shell."""
    for words in ("bash", "cert; id", "$(id)", "../../bin/sh"):
        done = await alice.ssh("bastion", words, patience=NOW)
        assert done.status == 2, (words, done)
        assert "uid=" not in done.out
        assert done.err
        assert "Traceback" not in done.err


# Means


@asynccontextmanager
async def forwarded(person: Contractor) -> AsyncIterator[int]:
    """`ssh -N -L PORT:prod-host:22 bastion`, while it is entered."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
    line = ("-N", "-v", "-L", f"127.0.0.1:{port}:{HOST}:22", "bastion")
    async with person.start(*line) as going:
        await going.stderr.expect("Entering interactive session")
        yield port
        await asyncio.sleep(0)


def inside(person: Contractor) -> tuple[str, ...]:
    """The target's name on a forwarded port."""
    return ("-o", f"HostKeyAlias={HOST}", f"{person.login}@127.0.0.1")


def strange(person: Client, key: Path) -> tuple[str, ...]:
    """Options for one key and nothing else; the host certificate is checked as ever."""
    options = (
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={person.known_hosts}",
        f"IdentityFile={key}",
    )
    return tuple(word for option in options for word in ("-o", option))
