"""docs/operations.md, for the person on call: what it says to type is typed here, and does it."""

import asyncio
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm
from tests.e2e.watching import Result
from tests.postgres import on_sqlite

pytestmark = pytest.mark.timeout(180)

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


class OnCall:
    """Somebody who types what the page says, section by section; `said` is what came of each line.

    The service is the test's own: what is said to systemctl is done to it.
    """

    def __init__(self, bastion: Bastion, place: Path, login: str) -> None:
        self.said: list[Result] = []
        self._bastion = bastion
        self._place = place
        self._login = login
        self._variables = {"TO": ""}
        (place / "backups").mkdir()

    @property
    def err(self) -> str:
        """All of stderr, of the last section."""
        return "".join(each.err for each in self.said)

    @property
    def out(self) -> str:
        """All of stdout, of the last section."""
        return "".join(each.out for each in self.said)

    async def types(self, heading: str, *, only: str = "") -> None:
        """All lines of a section's blocks, or those with a word in them."""
        self.said = []
        section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
        assert section, heading
        for block in re.findall(r"```sh\n(.*?)```", section[1], re.DOTALL):
            for line in block.splitlines():
                if only in line:
                    await asyncio.to_thread(self._type, line)

    def _type(self, line: str) -> None:
        set_to = re.fullmatch(r"(\w+)=\$\((.*)\)", line)
        words = shlex.split(self._here(set_to[2] if set_to else line), comments=True)
        done = self._done(words)
        assert done.status == 0, f"{line}: {done.err}"
        if set_to:
            self._variables[set_to[1]] = done.out.strip()
        self.said.append(done)

    def _here(self, line: str) -> str:
        line = line.replace('"$TO"', self._variables["TO"]).replace("login deploy", self._login)
        line = line.replace("/var/lib/bastion", str(self._bastion.home))
        return line.replace("/var/backups/bastion", str(self._place / "backups"))

    def _done(self, words: list[str]) -> Result:
        if words[0] == "systemctl":
            return self._system(words[1])
        into = words[-1] if words[-2:-1] == [">"] else None
        words = words[:-2] if into else words
        if words[0] == "bastion-admin":
            words = [str(self._place / word) if word == "backup.age" else word for word in words]
            done = self._bastion.admin_now(*words[1:], expect=None)
        else:
            ran = subprocess.run(words, cwd=self._place, capture_output=True, check=False)
            done = Result(ran.returncode, ran.stdout, ran.stderr)
        if into:
            Path(into).write_bytes(done.stdout)
        return done

    def _system(self, verb: str) -> Result:
        match verb:
            case "stop":
                assert self._bastion.stop() == 0
            case "start":
                self._bastion.start()
            case "restart":
                self._bastion.stop()
                self._bastion.start()
            case "status":
                assert self._bastion.pid
            case _:
                raise AssertionError(verb)
        return Result(0, b"", b"")


@pytest.fixture
def own(tmp_path: Path, sshd: Sshd, warm: Warm) -> Iterator[Bastion]:
    """A bastion that may be lost."""
    made = Bastion(tmp_path / "home", warm)
    made.set("limits", "drain", "1s")
    sshd.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
    made.admin_now("host", "add", HOST, *pinned)
    (made.home / "keys" / "auditor.age").unlink()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def on_call(own: Bastion, tmp_path: Path, sshd: Sshd) -> OnCall:
    """Whoever is woken."""
    place = tmp_path / "ops"
    place.mkdir()
    return OnCall(own, place, f"login {sshd.login}")


@pytest.fixture
def alice(own: Bastion, tmp_path: Path, sshd: Sshd) -> Contractor:
    """Somebody with a shell there."""
    person = Contractor.enrolled(tmp_path / "alice", "alice", own, sshd.login)
    person.granted_now()
    person.certified_now()
    return person


@on_sqlite("a server's database is copied, and restored, by its own tools")
async def test_a_home_is_backed_up_lost_and_restored(
    own: Bastion, on_call: OnCall, alice: Contractor, sshd: Sshd
) -> None:
    """While a session goes on. Of what was revoked since, nothing is open in the restored one; what
    it has, verifies; and after somebody has looked, alice jumps again."""
    assert (await alice.jump("echo before")).out == "before\n"
    async with alice.jumping("echo on; exec sleep 600") as going:
        await going.stdout.expect("on\n")
        await on_call.types("Back up")
        own.admin_now("revoke", "G-1", "--reason", "laptop lost")
        assert await going.wait() == 255
    await on_call.types("Restore", only="systemctl stop")
    await on_call.types("Restore", only="mv ")
    await on_call.types("Restore", only="restore ")
    assert "Nobody is let in: 1 grant and 1 certificate revoked" in on_call.err
    old = own.home.with_name("home.old") / "recordings"
    shutil.copytree(old, own.home / "recordings", dirs_exist_ok=True)
    await on_call.types("Restore", only="doctor")
    await on_call.types("Restore", only="audit verify")
    await on_call.types("Restore", only="systemctl start")
    refused = await alice.jump("echo in")
    assert (refused.out, refused.status) == ("", 255)
    await on_call.types("Restore", only="verify")
    ended = [(row["id"], row["end_reason"]) for row in await own.rows("sessions")]
    assert ended == [("S-2", "revoked"), ("S-1", "closed")]
    await on_call.types("Restore", only="user enable")
    await on_call.types("Restore", only="grant alice")
    await alice.certified()
    assert (await alice.jump("echo after")).out == "after\n"
    assert (await own.rows("sessions"))[0]["id"] == "S-1000003"


@pytest.mark.faults
async def test_what_is_done_on_other_days(
    own: Bastion, on_call: OnCall, alice: Contractor, sshd: Sshd
) -> None:
    """An upgrade, a key that is changed, a key that is lost, a disk that fills up, break-glass."""
    await on_call.types("Back up", only="age-keygen")
    await on_call.types("Upgrade")
    await on_call.types("Change rules and settings", only="policy check")
    await on_call.types("Change a key")
    await alice.certified()
    assert (await alice.jump("echo in")).out == "in\n"
    await on_call.types("The disk is full")
    await on_call.types("A worker dies")
    await on_call.types("The database is away", only="doctor")
    await on_call.types("Break-glass")
    await on_call.types("A key is lost, or stolen", only="alice")
    assert (await alice.jump("echo in")).status == 255
    await on_call.types("A key is lost, or stolen", only="shut")
    assert await own.rows("grants", "--live") == []
