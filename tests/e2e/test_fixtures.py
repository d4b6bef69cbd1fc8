"""The fixtures by themselves: a stock client reaches a real sshd without any bastion between."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import postgres
from tests.e2e.bastion import Bastion
from tests.e2e.client import Client, Newcomer, make_key
from tests.e2e.sshd import Sshd


@pytest.fixture
def certified(client: Client, sshd: Sshd, tmp_path: Path) -> Client:
    """A client straight at sshd, with a certificate that ssh-keygen signed."""
    ca = tmp_path / "ca"
    make_key(ca)
    sshd.trust(ca.with_suffix(".pub").read_text())
    sign = ["ssh-keygen", "-q", "-s", str(ca), "-I", "me", "-n", sshd.login, "-V", "+5m"]
    subprocess.run([*sign, str(client.public_key)], check=True)
    client.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key_file.read_text()}")
    client.configure(
        f"Host target\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.login}\n"
        f"  HostKeyAlias [127.0.0.1]:{sshd.port}"
    )
    return client


async def test_a_command_runs_on_the_real_target(certified: Client, sshd: Sshd) -> None:
    """Output, errors and status come back, and sshd's log names the certificate."""
    done = await certified.ssh("target", "id -un; cat; echo oops >&2; exit 3", stdin=b"in")
    assert (done.out, done.err, done.status) == (f"{sshd.login}\nin", "oops\n", 3)
    assert "ID me (serial 0)" in sshd.log


async def test_a_terminal_is_typed_at_and_resized(certified: Client) -> None:
    """The shell's prompt is watched for, the window's change is seen by the program."""
    async with certified.terminal("target", size=(91, 17)) as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("stty size\r")
        await terminal.expect("17 91\r\n")
        terminal.resize(120, 33)
        terminal.send("stty size\r")
        await terminal.expect("33 120\r\n")
        terminal.send("exit 5\r")
        assert await terminal.wait() == 5


async def test_a_program_goes_on_while_one_talks_to_it(certified: Client) -> None:
    """Both outputs are watched apart."""
    async with certified.start("target", "read a; echo got $a; read b; echo err $b >&2") as going:
        await going.send("one\n")
        await going.stdout.expect("got one\n")
        await going.send("two\n")
        await going.stderr.expect("err two\n")
        assert await going.wait() == 0


async def test_an_agent_holds_the_key(certified: Client, tmp_path: Path) -> None:
    """With the key file gone, the agent signs with key and certificate."""
    async with certified.agent(certified.key):
        certified.key.rename(tmp_path / "away")
        done = await certified.ssh("-o", "IdentitiesOnly=no", "target", "true")
    assert done.status == 0, done.err


def test_a_bastion_has_the_database_that_is_wanted(bastion: Bastion) -> None:
    """A file in its home, or a server's: what it says is on PostgreSQL is really there."""
    said = re.search(r'^url = "postgresql://', (bastion.home / "bastion.toml").read_text(), re.M)
    assert (said is not None) is postgres.wanted()
    assert (bastion.home / "bastion.db").exists() is not postgres.wanted()


async def test_a_newcomer_has_a_home_of_his_own(newcomer: Newcomer) -> None:
    """`~` is what the password database says, for ssh too."""
    done = await newcomer.shell("ssh -G anywhere; pwd")
    assert re.search(r"^identityfile ~/.ssh/id_ed25519$", done.out, re.M)
    assert done.out.endswith(f"{newcomer.home}\n")


async def test_what_does_not_come_is_told_with_what_came(certified: Client) -> None:
    """A watch that fails says what was seen instead."""
    async with certified.start("target", "echo something else") as going:
        with pytest.raises(AssertionError, match="something else"):
            await going.stdout.expect("something wanted")
