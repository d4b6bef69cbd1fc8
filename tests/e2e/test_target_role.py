"""The Ansible role for targets, run for real: a jump gets in where it was, and nobody else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor
from tests.e2e.sshd import SSHD, Sshd

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="a target is set up by root"),
]

ROLES = Path(__file__).parents[2] / "deploy" / "ansible" / "roles"
TARGET = "role-host"

BASE = """\
Include {place}/sshd_config.d/*.conf
ListenAddress 127.0.0.1:{port}
HostKey {place}/host_key
PidFile {place}/pid
UsePAM no
StrictModes no
PasswordAuthentication yes
AuthorizedKeysFile {place}/authorized_keys
"""


class Target:
    """A machine with an sshd that trusts nobody yet but who has a key there."""

    def __init__(self, port: int) -> None:
        self.place = place = Path(tempfile.mkdtemp(prefix="target-"))
        place.chmod(0o755)  # sshd reads an account's keys as that account
        self.port = port
        (place / "sshd_config.d").mkdir()
        key = place / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (place / "sshd_config").write_text(BASE.format(place=place, port=port))
        self._process = subprocess.Popen(
            [SSHD, "-D", "-f", place / "sshd_config", "-E", place / "log"], start_new_session=True
        )
        self.heard()

    @property
    def log(self) -> str:
        file = self.place / "log"
        return file.read_text() if file.exists() else ""

    @property
    def drop_in(self) -> Path:
        return self.place / "sshd_config.d" / "00-bastion.conf"

    def heard(self, times: int = 1) -> None:
        """Waits until it has begun to listen so often: it does so anew after SIGHUP."""
        deadline = time.monotonic() + 20
        while self.log.count("Server listening on") < times:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self.place)

    @property
    def pid(self) -> int:
        return self._process.pid


@pytest.fixture
def target(free_port: int) -> Iterator[Target]:
    """One for this test."""
    made = Target(free_port)
    yield made
    made.stop()


class Ansible:
    """Runs the role on the target; gives how many tasks changed something."""

    def __init__(self, place: Path, target: Target, ca: list[str]) -> None:
        self._place = place
        self._target = target
        self.variables: dict[str, object] = {
            "bastion_target_ca": ca,
            "bastion_target_directory": str(target.place),
            "bastion_target_reload": ["kill", "-HUP", str(target.pid)],
        }

    def __call__(self, *words: str, fails: bool = False) -> int:
        book = [{"hosts": "all", "gather_facts": False, "roles": ["bastion_target"]}]
        (self._place / "book.yml").write_text(json.dumps(book))
        (self._place / "variables.json").write_text(json.dumps(self.variables))
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        done = subprocess.run(
            [
                *(program, "-i", "target,", "-c", "local"),
                *("-e", f"@{self._place}/variables.json"),
                *("-e", f"ansible_python_interpreter={sys.executable}"),
                *(*words, str(self._place / "book.yml")),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self._place),
                "ANSIBLE_ROLES_PATH": str(ROLES),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        recap = done.stdout.rpartition("PLAY RECAP")[2]
        self.said = done.stdout
        return int(recap.partition("changed=")[2].split()[0])


async def test_a_target_is_set_up_and_reached(
    target: Target, bastion: Bastion, sshd: Sshd, alice: Contractor, tmp_path: Path
) -> None:
    """Looking changes nothing, setting up does, doing it again does not. Then alice gets in through
    the bastion, and her own key that was let in before gets nobody in."""
    role = Ansible(tmp_path, target, [bastion.admin_now("ca", "show", "target").out.strip()])
    (target.place / "authorized_keys").write_text(alice.public_key.read_text())
    directly = ("-p", str(target.port), f"{sshd.login}@127.0.0.1", "echo in")
    loose = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
    assert (await alice.ssh(*loose, *directly)).out == "in\n"

    assert role("--check") > 0
    assert not target.drop_in.exists()
    assert role() > 0
    target.heard(times=2)
    assert role() == 0
    assert sorted(each.name for each in target.drop_in.parent.iterdir()) == ["00-bastion.conf"]

    assert (await alice.ssh(*loose, *directly)).status == 255
    address = ("--address", f"127.0.0.1:{target.port}")
    key = ("--host-key", f"{target.place}/host_key.pub")
    bastion.admin_now("host", "add", TARGET, *address, *key, "--shell-type", "bash")
    alice.granted_now(host=TARGET)
    await alice.certified()
    assert (await alice.jump("echo in", host=TARGET)).out == "in\n"
    checked = bastion.admin_now("host", "check", TARGET, "--login", sshd.login)
    assert checked.status == 0
    bastion.admin_now("host", "remove", TARGET, "--force")


def test_what_sshd_does_not_hold_with_is_put_back(target: Target, tmp_path: Path) -> None:
    """At first there is nothing to put back; then there is. sshd never hears of it."""
    role = Ansible(tmp_path, target, ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHO2W"])
    role.variables["bastion_target_also"] = "Nonsense yes"
    role(fails=True)
    assert "sshd does not hold with these settings" in role.said
    assert not target.drop_in.exists()
    role.variables["bastion_target_also"] = "Match User ops\n    AuthorizedKeysFile .ssh/keys"
    role()
    before = target.drop_in.read_text()
    assert before.endswith("Match User ops\n    AuthorizedKeysFile .ssh/keys\n")
    role.variables["bastion_target_also"] = "Nonsense yes"
    role(fails=True)
    assert target.drop_in.read_text() == before
    os.kill(target.pid, signal.SIGHUP)
    target.heard(times=3)


def test_no_ca_no_change(target: Target, tmp_path: Path) -> None:
    """A target that trusts nobody lets nobody in; an Include that comes late counts nothing."""
    role = Ansible(tmp_path, target, [])
    role(fails=True)
    assert "Set bastion_target_ca" in role.said
    role.variables["bastion_target_ca"] = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHO2W"]
    config = target.place / "sshd_config"
    first, _, rest = config.read_text().partition("\n")
    config.write_text(f"{rest}{first}\n")
    role(fails=True)
    assert "Something before it counts" in role.said
    assert not target.drop_in.exists()
