"""A contractor's certificate: fetched over SSH, read by ssh-keygen, counted however it is shown.

Beside a `-cert.pub` OpenSSH signs with the bare key first, so each way of having a key is tried.
"""

import asyncio
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.client import Newcomer, make_key
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

Enrol = Callable[[], Contractor]

SK_DUMMY = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")
"""A FIDO token that needs no hardware."""


def read(certificate: Path) -> str:
    """What `ssh-keygen -L` says of a certificate."""
    done = subprocess.run(
        ["ssh-keygen", "-L", "-f", certificate],
        capture_output=True,
        text=True,
        check=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )
    return done.stdout


@pytest.fixture
def person(newly_enrolled: Enrol) -> Contractor:
    """Somebody with a shell for an hour and a certificate."""
    made = newly_enrolled()
    made.granted_now()
    made.certified_now()
    return made


def test_ssh_keygen_reads_it(person: Contractor) -> None:
    """Two principals (the name and C-SERIAL), what a jump and a terminal need, no command."""
    text = read(person.certificate)
    assert "ssh-ed25519-cert-v01@openssh.com user certificate" in text
    serial = re.search(r"Serial: (\d+)", text)
    assert serial
    principals = re.search(r"Principals: \n(.*?)\n\s+Critical", text, re.DOTALL)
    assert principals
    assert principals[1].split() == [person.name, f"C-{serial[1]}"]
    assert re.search(r"Critical Options: \(none\)", text)
    extensions = text.partition("Extensions:")[2].split()
    assert extensions == ["permit-port-forwarding", "permit-pty"]


def test_it_is_valid_until_the_grant_ends(person: Contractor) -> None:
    """An hour's grant gives an hour's certificate, which begins a little early."""
    after, before = validity(person.certificate)
    now = datetime.now(UTC)
    assert after <= now
    assert timedelta(minutes=59) < before - now <= timedelta(hours=1)


def test_it_is_valid_no_longer_than_the_setting(newly_enrolled: Enrol) -> None:
    """A month's grant gives eight hours."""
    person = newly_enrolled()
    person.granted_now(lasting="30d")
    person.certified_now()
    _, before = validity(person.certificate)
    assert abs(before - datetime.now(UTC) - timedelta(hours=8)) < timedelta(minutes=2)


async def test_with_nothing_granted_there_is_none(newly_enrolled: Enrol) -> None:
    """One sentence, nothing on stdout: a redirected file stays empty rather than wrong."""
    done = await newly_enrolled().ssh("bastion", "cert")
    assert done.status == 1
    assert done.stdout == b""
    assert done.err.strip()
    assert "Traceback" not in done.err


async def test_it_counts_by_certificate_file(person: Contractor) -> None:
    """`CertificateFile` makes OpenSSH sign with the certificate."""
    done = await person.jump("echo in", options=("-v",))
    assert done.out == "in\n", done.err


async def test_it_counts_beside_the_key_file(person: Contractor, bastion: Bastion) -> None:
    """`IdentityFile` alone: OpenSSH signs with the bare key, though the certificate lies beside."""
    done = await person.ssh(*bare(person, bastion), f"{person.login}@{HOST}", "echo in")
    assert done.out == "in\n", done.err


async def test_it_counts_where_there_is_no_file_of_it(
    person: Contractor, bastion: Bastion, tmp_path: Path
) -> None:
    """The ledger knows the certificate, so the bare key is enough, wherever the file is."""
    person.certificate.rename(tmp_path / "elsewhere")
    done = await person.ssh(*bare(person, bastion), f"{person.login}@{HOST}", "echo in")
    assert done.out == "in\n", done.err


async def test_it_counts_with_an_agent(
    person: Contractor, bastion: Bastion, tmp_path: Path
) -> None:
    """An agent that holds key and certificate, with no file left."""
    async with person.agent(person.key):
        person.key.rename(tmp_path / "away")
        person.certificate.rename(tmp_path / "away-cert.pub")
        line = (*bare(person, bastion), "-o", "IdentitiesOnly=no")
        done = await person.ssh(*line, f"{person.login}@{HOST}", "echo in")
    assert done.out == "in\n", done.err


async def test_it_counts_with_an_agent_that_has_the_key_alone(
    person: Contractor, tmp_path: Path
) -> None:
    """The key in the agent, the certificate in a file, as with a hardware key."""
    away = tmp_path / "away"
    person.certificate.rename(away)
    async with person.agent(person.key):
        away.rename(person.certificate)
        person.key.rename(tmp_path / "key")
        done = await person.jump("echo in", options=("-o", "IdentitiesOnly=no"))
    assert done.out == "in\n", done.err


async def test_it_counts_where_a_newcomer_pastes_and_types(
    newcomer: Newcomer, bastion: Bastion, sshd: Sshd
) -> None:
    """`trust` pasted into ~/.ssh, then `ssh bastion cert > …` and a plain `ssh -J`: it all works.

    With a real home, the default key file and host key checking as OpenSSH has it by itself.
    """
    key = str(newcomer.public_key)
    await bastion.admin("user", "add", newcomer.name, "--key", key)
    words = ("--host", HOST, "--login", sshd.login, "--for", "1h", "--reason", "a test")
    await bastion.admin("grant", newcomer.name, *words, "--shell")
    pasted = await bastion.admin("trust", newcomer.name, "--format", "ssh_config")
    newcomer.config.write_text(pasted.out)
    named = re.search(r"UserKnownHostsFile\s+~/(\S+)", pasted.out)
    assert named, pasted.out
    known = await bastion.admin("trust", newcomer.name)
    (newcomer.home / named[1]).write_text(known.out)
    newcomer.own()
    fetched = await newcomer.shell("ssh bastion cert > ~/.ssh/id_ed25519-cert.pub")
    assert fetched.status == 0, fetched.err
    proxy = "ProxyCommand='ssh -W %h:%p bastion'"
    for line in (
        f"ssh -o BatchMode=yes -J bastion {sshd.login}@{HOST} echo in",
        f"ssh -o BatchMode=yes {sshd.login}@{HOST} echo in",
        f"ssh -F none -o UserKnownHostsFile=~/{named[1]} -o {proxy} {sshd.login}@{HOST} echo in",
    ):
        done = await newcomer.shell(line)
        assert done.out == "in\n", (line, done.err)
    assert "StrictHostKeyChecking yes" in pasted.out


@pytest.mark.parametrize("key_type", ["ecdsa", "rsa"])
async def test_other_kinds_of_key_get_one_too(
    newly_enrolled: Enrol, bastion: Bastion, key_type: str
) -> None:
    """An ECDSA and an RSA key (3072 bits) are enrolled, certified and let in."""
    person = newly_enrolled()
    person.key.unlink()
    person.public_key.unlink()
    make_key(person.key, key_type)
    await bastion.admin("user", "key", "add", person.name, str(person.public_key))
    await person.granted()
    await person.certified()
    assert f"{key_type}" in read(person.certificate)
    done = await person.jump("echo in")
    assert done.out == "in\n", done.err


@pytest.mark.skipif(not SK_DUMMY.exists(), reason="needs Debian's openssh-tests")
@pytest.mark.parametrize("key_type", ["ed25519-sk", "ecdsa-sk"])
async def test_a_hardware_key_is_touched_once(
    newly_enrolled: Enrol, bastion: Bastion, key_type: str
) -> None:
    """A key in a (pretended) token is enrolled and certified; a jump asks for one signature."""
    person = newly_enrolled()
    person.key.unlink()
    person.public_key.unlink()
    make = ("ssh-keygen", "-q", "-t", key_type, "-w", str(SK_DUMMY), "-N", "", "-f")
    made = await person.run(*make, str(person.key))
    assert made.status == 0, made.err
    await bastion.admin("user", "key", "add", person.name, str(person.public_key))
    person.configure(f"SecurityKeyProvider {SK_DUMMY}")
    await person.granted()
    await person.certified()
    done = await person.jump("echo in", options=("-v",))
    assert done.out == "in\n", done.err
    assert done.err.count("sshsk_sign: provider") == 1


async def test_an_expired_one_is_refused_with_the_way_to_a_new_one(
    tmp_path: Path, sshd: Sshd, warm: Warm
) -> None:
    """The certificate is over, the grant is not: it says so, and a new one opens again."""
    bastion = Bastion(tmp_path / "home", warm)
    bastion.set("access", "certificate_lifetime", "3s")
    sshd.trust(bastion.admin_now("ca", "show", "target").out)
    pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
    await bastion.admin("host", "add", HOST, *pinned)
    person = Contractor.enrolled(tmp_path / "someone", "someone", bastion, sshd.login)
    await person.granted()
    bastion.start()
    try:
        await person.certified()
        _, before = validity(person.certificate)
        await asyncio.sleep((before - datetime.now(UTC)).total_seconds() + 0.1)
        done = await person.jump("true", patience=10)
        told = r"bastion: your certificate for G-1 ended at .*ssh bastion cert"
        assert re.search(told, done.err)
        assert done.status == 255
        await person.certified()
        assert (await person.jump("true")).status == 0
    finally:
        bastion.stop()


async def test_a_revoked_one_is_refused_with_the_way_to_a_new_one(
    person: Contractor, bastion: Bastion
) -> None:
    """`revoke SERIAL` ends the certificate, not the grant: another one opens again."""
    serial = re.search(r"Serial: (\d+)", read(person.certificate))
    assert serial
    await bastion.admin("revoke", serial[1], "--reason", "lost laptop")
    done = await person.jump("true", patience=10)
    assert re.search(
        r"bastion: your certificate for G-\d+ was revoked; .*ssh bastion cert", done.err
    )
    assert done.status == 255
    await person.certified()
    assert (await person.jump("true")).status == 0


async def test_a_certificate_of_another_ca_counts_for_nothing(
    newly_enrolled: Enrol, tmp_path: Path
) -> None:
    """A strange CA signs the enrolled key for the right name and serial: not a door more opens."""
    person = newly_enrolled()
    await person.granted()
    make_key(tmp_path / "ca")
    sign = ("ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-I", "me", "-z", "1", "-V", "+1h")
    signed = await person.run(*sign, "-n", f"{person.name},C-1", str(person.public_key))
    assert signed.status == 0, signed.err
    done = await person.jump("true", patience=10)
    assert done.status == 255
    assert done.stdout == b""


async def test_a_stolen_certificate_is_of_no_use(person: Contractor, newly_enrolled: Enrol) -> None:
    """Another enrolled person with somebody's certificate, but not the key, gets nothing by it."""
    thief = newly_enrolled()
    thief.certificate.write_bytes(person.certificate.read_bytes())
    done = await thief.jump("true", patience=10)
    assert (done.status, done.stdout) == (255, b"")


def bare(person: Contractor, bastion: Bastion) -> tuple[str, ...]:
    """Options that leave CertificateFile away, for a jump by ProxyCommand."""
    config = person.config.with_name("bare")
    config.write_text(re.sub(r"^\s*CertificateFile.*\n", "", person.config.read_text(), flags=re.M))
    return ("-o", f"ProxyCommand=ssh -F {config} -W %h:%p bastion", "-F", str(config))


def validity(certificate: Path) -> tuple[datetime, datetime]:
    """From when to when a certificate is good."""
    found = re.search(r"Valid: from (\S+) to (\S+)", read(certificate))
    assert found
    after, before = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found.groups())
    return after, before
