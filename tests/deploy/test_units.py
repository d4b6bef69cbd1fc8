"""The units in deploy/systemd, judged by systemd itself."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PLACE = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(path.name for path in PLACE.iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [name for name in UNITS if name.endswith(".service")]

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze judges units, and is not here"
)


def said(*command: str | Path) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(tmp_path: Path, unit: str) -> None:
    """It says what it does not know on stderr, and goes on: so nothing may stand there."""
    program = Path(sys.executable).with_name("bastion-admin")
    for name in UNITS:
        text = (PLACE / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/bastion/bin/bastion-admin", str(program)))
    assert said("systemd-analyze", "verify", tmp_path / unit) == (0, "", "")


@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_exposed_to_little(unit: str) -> None:
    """At most 2.0, where 10 is the worst."""
    command = ("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager")
    status, out, _ = said(*command, PLACE / unit)
    assert status == 0, out[-200:]


def test_a_key_that_systemd_does_not_know_is_seen(tmp_path: Path) -> None:
    """The judge can say no."""
    unit = tmp_path / "bastion.service"
    text = (PLACE / "bastion.service").read_text().replace("KillMode=", "KilMode=")
    unit.write_text(text.replace("/opt/bastion/bin/bastion-admin", sys.executable))
    assert "KilMode" in said("systemd-analyze", "verify", unit)[2]


def test_it_is_given_as_long_as_it_takes_to_drain() -> None:
    """What live sessions have after SIGTERM by default, and what ending takes, is less."""
    unit = (PLACE / "bastion.service").read_text()
    found = re.search(r"^TimeoutStopSec=(\d+)s$", unit, re.MULTILINE)
    assert found
    assert int(found[1]) > 10 + 15 + 15


@pytest.mark.skipif(os.geteuid() != 0, reason="accounts and owners are given by root")
def test_account_and_directories_are_made(tmp_path: Path) -> None:
    """The home is its own, and nobody else looks into it."""
    for program, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        place = tmp_path / "etc" / f"{name}.d"
        place.mkdir(parents=True)
        shutil.copy(PLACE / f"{name}.conf", place / "bastion.conf")
        words = ("--create",) if name == "tmpfiles" else ()
        status, _, err = said(program, f"--root={tmp_path}", *words, place / "bastion.conf")
        assert status == 0, err
    assert re.search(r"^bastion:x:\d+:\d+:SSH bastion:/var/lib/bastion:", accounts(tmp_path), re.M)
    home = (tmp_path / "var" / "lib" / "bastion").stat()
    assert home.st_mode & 0o777 == 0o700
    assert home.st_uid != 0


def accounts(root: Path) -> str:
    return (root / "etc" / "passwd").read_text()
