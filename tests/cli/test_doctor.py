"""The doctor: each thing that can be wrong is found, and the mend is said."""

import itertools
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bastion import doctor, machine
from bastion.authority import Which, generations
from bastion.home import Home
from tests.cli.desks import HOST_KEY, Installation, free_port
from tests.postgres import on_sqlite


@pytest.fixture
def admin(tmp_path: Path) -> Installation:
    """An empty installation, on a port that is free."""
    return Installation(tmp_path / "bastion", free_port())


def mend_the_rest(admin: Installation) -> None:
    """What a fresh installation is warned of."""
    admin.home.auditor.unlink()


def found(admin: Installation, *words: str) -> list[dict[str, str]]:
    """What is wrong or warned of; that no signer is used is a note."""
    findings: list[dict[str, str]] = admin("doctor", *words, "--json").json
    return [finding for finding in findings if finding["level"] != "note"]


def test_a_fresh_installation_is_warned_of_the_auditors_key(admin: Installation) -> None:
    """A warning is no failure; taken away, nothing is left to say."""
    (finding,) = found(admin)
    assert finding["level"] == "warning"
    assert str(admin.home.auditor) in finding["what"]
    mend_the_rest(admin)
    assert admin("doctor").err == "Nothing is wrong.\n"


def test_what_too_many_see_or_say_is_a_warning(admin: Installation) -> None:
    """Metrics beyond this machine, and a network of balancers that is more than that."""
    mend_the_rest(admin)
    text = admin.home.settings.read_text()
    for listen, balancers, said in (
        ("127.0.0.1:9322", "10.0.0.4", ""),
        ("[::1]:9322", "10.0.0.0/24", ""),
        (
            "0.0.0.0:9322",
            "10.0.0.4",
            "The metrics at 0.0.0.0:9322 are told to whoever",
        ),
        ("127.0.0.1:9322", "10.0.0.0/8", "Whoever connects from 10.0.0.0/8 can say to be anywhere"),
    ):
        with_both = text.replace("[metrics]\n", f'[metrics]\nlisten = "{listen}"\n')
        admin.home.settings.write_text(
            with_both.replace("[proxy]\n", f'[proxy]\nbalancers = ["{balancers}"]\n')
        )
        noted = admin("doctor", "--json").json
        found = [each for each in noted if each["level"] != "note"]
        assert [each["level"] for each in found] == (["warning"] if said else [])
        assert all(said in each["what"] for each in found)


def open_home(home: Home) -> None:
    """Others may look into the home."""
    home.directory.chmod(0o755)


def open_key(home: Home) -> None:
    """Others may read a CA."""
    (home.keys / "user_ca").chmod(0o644)


def swap_keys(home: Home) -> None:
    """Two public halves are exchanged."""
    one, other = home.keys / "user_ca.pub", home.keys / "target_ca.pub"
    text = one.read_text()
    one.write_text(other.read_text())
    other.write_text(text)


def double_keys(home: Home) -> None:
    """One CA is the other."""
    for half in ("", ".pub"):
        shutil.copy(home.keys / f"user_ca{half}", home.keys / f"target_ca{half}")


def lose_key(home: Home) -> None:
    """A key is gone."""
    (home.keys / "seal").unlink()


def lose_recordings(home: Home) -> None:
    """There is nowhere to record."""
    shutil.rmtree(home.recordings)


def break_settings(home: Home) -> None:
    """A setting that does not exist."""
    home.settings.write_text("[listen]\nadress = '127.0.0.1:22'\n")


def break_policy(home: Home) -> None:
    """Not TOML."""
    home.policy.write_text("[rules\n")


def break_rule(home: Home) -> None:
    """TOML, and no rule."""
    home.policy.write_text(home.policy.read_text().replace('"shell"', '"shel"', 1))


def age_schema(home: Home) -> None:
    """As an older version has left it."""
    with Installation.at(home).services() as services, services.store.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")


def lose_database(home: Home) -> None:
    """The file is gone."""
    home.database.unlink()


def be_ahead(home: Home) -> None:
    """The database has seen a later time than the clock shows."""
    with Installation.at(home).services() as services:
        services.store.saw_time(datetime.now(UTC) + timedelta(days=1))


def break_off_a_change(home: Home) -> None:
    """The old key is retired, and still in its place."""
    generations.rotate(home.keys, Which.USER_CA, datetime.now(UTC))
    shutil.copy(home.keys / "user_ca.pub", home.keys / "user_ca.old-1.pub")


def keep_a_retired_key(home: Home) -> None:
    """Somebody has kept a copy."""
    shutil.copy(home.keys / "user_ca", home.keys / "user_ca.bak")
    generations.rotate(home.keys, Which.USER_CA, datetime.now(UTC))
    generations.retire(home.keys, Which.USER_CA, datetime.now(UTC))


def open_next_key(home: Home) -> None:
    """Others may read the next key."""
    generations.rotate(home.keys, Which.TARGET_CA, datetime.now(UTC))
    (home.keys / "target_ca.next").chmod(0o644)


def want_a_list(home: Home) -> None:
    """A list of what is revoked is to be kept, and is not there."""
    settings = home.settings.read_text()
    home.settings.write_text(settings.replace("[access]\n", '[access]\nkrl = "krl"\n'))


def damage_the_list(home: Home) -> None:
    """It is cut short."""
    want_a_list(home)
    (home.directory / "krl").write_bytes(b"SSHKRL")


@pytest.mark.parametrize(
    ("harm", "what", "mend"),
    [
        (break_off_a_change, "retirement of an old user_ca was broken off", "rotate user --retire"),
        (keep_a_retired_key, "the private half of a retired user_ca", "shred -u"),
        (open_next_key, "target_ca.next is open to others", "chmod 0600"),
        (want_a_list, "can't be read", "ca krl --output"),
        (damage_the_list, "refuses everybody", "ca krl --output"),
        (open_home, "Others may read", "chmod go-rwx"),
        (open_key, "user_ca is open to others", "chmod 0600"),
        (swap_keys, "are not one pair", "estore"),
        (double_keys, "are the same key", "restore"),
        (lose_key, "seal is missing", "restore"),
        (lose_recordings, "No recording can be written", "mkdir"),
        (break_settings, "'listen.adress' is not a setting", "bastion.toml"),
        (break_policy, "is not TOML", "policy.toml"),
        (break_rule, "rule.allow: 'shel' can't be allowed", "policy.toml"),
        (age_schema, "has the schema 0000", "serve once"),
        pytest.param(lose_database, "no database", "", marks=on_sqlite("a file may be gone")),
        (be_ahead, "The clock says", "set the clock right"),
    ],
)
def test_what_is_wrong_is_found(
    admin: Installation, harm: Callable[[Home], None], what: str, mend: str
) -> None:
    """One by one; the exit status is 1, and the findings are on stdout."""
    mend_the_rest(admin)
    harm(admin.home)
    findings = admin("doctor", "--offline", "--json", status=1).json
    assert any(what in each["what"] and mend in each["mend"] for each in findings), findings
    told = admin("doctor", "--offline", status=1)
    assert "wrong: " in told.out
    assert "mend: " in told.out


def test_keys_that_are_being_changed_are_warned_of(admin: Installation) -> None:
    """With the hosts that have not moved; when all have, with what ends the change."""
    mend_the_rest(admin)
    admin("host", "add", "web-1", "--address", "127.0.0.1:1", "--host-key", HOST_KEY)
    for name in ("user", "target"):
        admin("ca", "rotate", name)
    user, target = found(admin, "--offline")
    assert {user["level"], target["level"]} == {"warning"}
    assert "The user key is being changed for another since" in user["what"]
    assert user["mend"].endswith("ca rotate user --retire")
    assert target["what"].endswith("Not moved: web-1.")
    assert "host check NAME --login LOGIN" in target["mend"]


def test_an_old_list_of_what_is_revoked_is_warned_of(admin: Installation) -> None:
    """One that says what it should is no finding."""
    mend_the_rest(admin)
    want_a_list(admin.home)
    file = admin.home.directory / "krl"
    admin("ca", "krl", "--output", str(file))
    assert found(admin, "--offline") == []
    for more in ((), ("--retire",)):
        admin("ca", "rotate", "user", *more)
    (finding,) = found(admin, "--offline")
    assert (finding["level"], "is not up to date" in finding["what"]) == ("warning", True)


def test_a_target_that_is_away_is_a_warning(admin: Installation) -> None:
    """A target may be down; --offline asks none."""
    mend_the_rest(admin)
    admin("host", "add", "web-1", "--address", "127.0.0.1:1", "--host-key", HOST_KEY)
    (finding,) = found(admin)
    assert (finding["level"], finding["what"][:5]) == ("warning", "web-1")
    assert found(admin, "--offline") == []


def test_a_clock_that_jumps_is_seen() -> None:
    """The wall clock is held against the boot clock; what goes evenly is no finding."""
    boot = itertools.count()
    assert list(machine.unsteady(lambda: 1000.0, lambda: 0.0, lambda _: None)) == []
    wall = iter([0.0, 1.0, 2.0, 33.0, 34.0])
    (finding,) = machine.unsteady(lambda: next(wall), lambda: float(next(boot)), lambda _: None)
    assert "The clock jumps: by 30.00 s" in finding.what


def test_little_room_is_said(monkeypatch: pytest.MonkeyPatch, admin: Installation) -> None:
    """Before sessions end for it."""
    usage = shutil.disk_usage(Path("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10 << 20))
    findings = doctor.examine(admin.home)
    assert any("10 MiB left" in each.what and each.level == "wrong" for each in findings)
