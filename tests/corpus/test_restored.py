"""A copy of the database is put back: what was revoked since it was made must not be open again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bastion.home import Home
from tests.cli.desks import HOST_KEY, Installation, Remote, new_key
from tests.postgres import on_sqlite

GRANT = ("--login", "deploy", "--shell", "--for", "2h", "--reason", "a test")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """With mallory, who has a grant and a certificate for it."""
    made = Installation(tmp_path / "bastion")
    made("user", "add", "mallory", "--key", new_key())
    made("host", "add", "web-1", "--address", "192.0.2.1", "--host-key", HOST_KEY)
    made("grant", "mallory", "--host", "web-1", *GRANT)
    with made.services() as services:
        Remote(services, "mallory")("cert")
    return made


def grant_revoked(made: Installation) -> None:
    made("revoke", "G-1", "--reason", "not what was agreed")


def certificate_revoked(made: Installation) -> None:
    made("revoke", "1", "--reason", "key leaked")


def account_closed(made: Installation) -> None:
    made("user", "disable", "mallory")


def key_taken_away(made: Installation) -> None:
    with made.services() as services:
        user = services.store.user("mallory")
        assert user is not None
    made("user", "key", "add", "mallory", new_key())
    made("user", "key", "remove", "mallory", user.keys[0].fingerprint)


@on_sqlite("a server's database is copied, and restored, by its own tools")
@pytest.mark.parametrize(
    "since", [grant_revoked, certificate_revoked, account_closed, key_taken_away]
)
def test_a_rolled_back_database_lets_nobody_in(
    installation: Installation, tmp_path: Path, since: Callable[[Installation], None]
) -> None:
    """Neither by a grant, nor by a certificate, nor to ask for another; and no number is given
    again, so that a list of what is revoked goes on meaning what it meant."""
    file = tmp_path / "copy"
    installation("backup", "-o", str(file), "--without-keys")
    since(installation)
    made = Installation.at(Home(tmp_path / "new"))
    made("restore", str(file))
    for key in installation.home.keys.iterdir():
        (made.home.keys / key.name).write_bytes(key.read_bytes())
        (made.home.keys / key.name).chmod(0o600)
    with made.services() as services:
        now = services.clock.now()
        assert services.store.grants_not_over("mallory", now) == ()
        user = services.store.user("mallory")
        assert user is not None
        assert not user.may_sign_in(now)
        facts = services.store.door_facts("mallory", user.keys[0].fingerprint, "web-1", now)
        assert not any(each.live(now) for each in facts.certificates)
    made("user", "enable", "mallory")
    made("grant", "mallory", "--host", "web-1", *GRANT)
    with made.services() as services:
        Remote(services, "mallory")("cert")
        newest = services.store.ledger(limit=1)[0]
        assert newest.serial > 1_000_000
