"""`prune`: what has been kept for long enough goes, and leaves a tombstone that verify knows."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recorder import Session
from recorder.errors import NotHere
from recorder.tombstone import read_tombstone
from tests.bastion.worlds import ROOT
from tests.cli.desks import Installation
from tests.cli.old_sessions import cast_of, ended_ago, files_of, retain

LEFT = [".manifest", ".manifest.sig", ".tombstone", ".tombstone.sig"]


def told(installation: Installation, what: str) -> list[dict[str, Any]]:
    """The events of a kind."""
    return [
        json.loads(line)
        for line in installation("audit", "--what", what, "--json").out.splitlines()
    ]


def left_of(session: Session) -> list[str]:
    return [f"{session.name}{suffix}" for suffix in LEFT]


@pytest.fixture
async def three(furnished: Installation) -> list[Session]:
    """Two on web-1 that ended 40 days and an hour ago, and one on db-1, which is production."""
    retain(furnished, "30d", ("label:env=prod", "365d"))
    with furnished.services() as services:
        return [
            await ended_ago(services, 40),
            await ended_ago(services, 40, host="db-1"),
            await ended_ago(services, 1 / 24),
        ]


def test_a_dry_run_lets_nothing_go(furnished: Installation, three: list[Session]) -> None:
    """It says what would go, by which rule and how much that is; and that the rules are new."""
    before = [files_of(furnished, each) for each in three]
    said = furnished("prune", "--dry-run", "--json").json
    assert [each["session"] for each in said["recordings"]] == ["S-1"]
    assert said["recordings"][0]["rule"] == "default: 30d"
    assert said["bytes"] == said["recordings"][0]["bytes"] > 100
    assert said["rules"]["lines"] == ["label:env=prod: 365d", "default: 30d"]
    shown = furnished("prune", "--dry-run")
    assert "S-1" in shown.out
    assert "1 recording would go: " in shown.err
    assert [files_of(furnished, each) for each in three] == before
    assert told(furnished, "retention") == []


def test_new_rules_wait_for_a_day_or_a_yes(furnished: Installation, three: list[Session]) -> None:
    """And are told to the log when they are first heard of."""
    refused = furnished("prune", status=1).err
    assert "These rules of retention are new" in refused
    assert "prune --dry-run" in refused
    assert len(files_of(furnished, three[0])) == 4
    [event] = told(furnished, "retention")
    assert event["details"]["rules"] == ["label:env=prod: 365d", "default: 30d"]
    said = furnished("prune", "--yes")
    assert said.out.startswith("S-1 of alice on web-1 was let go (default: 30d): ")
    assert said.err.startswith("1 recording let go: ")
    assert [files_of(furnished, each) == left_of(each) for each in three] == [True, False, False]


def test_what_is_left_can_be_verified(furnished: Installation, three: list[Session]) -> None:
    """The tombstone says what was there; the others are as they were."""
    furnished("prune", "--yes")
    said = furnished("verify", "S-1")
    assert said.out.splitlines()[0] == "Nothing was changed, is missing or was added."
    assert "S-1 was let go on " in said.err
    assert "its seal and its tombstone hold" in said.err
    assert furnished("verify", "--all", "--json").json["findings"] == []
    text = cast_of(furnished, three[0]).with_suffix(".tombstone").read_text()
    tombstone = read_tombstone(text)
    assert [part.name for part in tombstone.files] == ["S-1.cast", "S-1.sent"]
    assert tombstone.files[0].sha256 == three[0].recording.sha256
    [event] = told(furnished, "recording.let_go")
    assert (event["session"], event["details"]["rule"]) == ("S-1", "default: 30d")


def test_ssh_keygen_judges_a_tombstone(
    furnished: Installation, three: list[Session], tmp_path: Path
) -> None:
    """In its own namespace, and no other text."""
    furnished("prune", "--yes")
    stone = cast_of(furnished, three[0]).with_suffix(".tombstone")
    allowed = tmp_path / "allowed"
    allowed.write_text(f"bastion {furnished('ca', 'show', 'seal').out}")

    def judged(namespace: str, text: bytes) -> int:
        command = [
            "ssh-keygen",
            "-Y",
            "verify",
            "-f",
            str(allowed),
            "-I",
            "bastion",
            "-n",
            namespace,
        ]
        done = subprocess.run(
            [*command, "-I", "bastion", "-s", f"{stone}.sig"],
            input=text,
            capture_output=True,
            check=False,
        )
        return done.returncode

    text = stone.read_bytes()
    assert judged("tombstone@bastion", text) == 0
    assert judged("recording@bastion", text) != 0
    assert judged("tombstone@bastion", text.replace(b"30d", b"31d")) != 0


def test_what_is_gone_is_said_in_one_sentence(
    furnished: Installation, three: list[Session]
) -> None:
    """By whoever would show it; and nobody has looked at it."""
    furnished("prune", "--yes")
    for words in (["replay", "S-1"], ["watch", "S-1"], ["export", "S-1", "--raw", "stdout"]):
        said = furnished(*words, status=1).err
        assert said.startswith("bastion-admin: S-1 was let go on ")
        assert said.endswith(
            "by the rule default: 30d: only its seal and its tombstone are left.\n"
        )
        assert said.count("\n") == 1
    assert told(furnished, "recording.looked_at") == []
    assert "nothing is left to hold" in furnished("hold", "S-1", "--reason", "x", status=1).err


def test_show_says_how_long(furnished: Installation, three: list[Session]) -> None:
    """Until when, by whose hold, or that it is gone; the list says the same to programs."""
    furnished("hold", "G-1", "--reason", "INC-42")
    assert "kept until" in furnished("show", "S-3").out
    assert "G-1 by os:tester: INC-42" in furnished("show", "S-3").out
    furnished("release", "G-1", "--reason", "closed")
    furnished("prune", "--yes")
    assert "by the rule default: 30d" in furnished("show", "S-1").out
    recordings = [each["recording"] for each in furnished("sessions", "--json").json]
    assert [each["let_go_at"] is not None for each in recordings] == [False, False, True]
    assert all(each["kept_until"] for each in recordings)
    assert not any(each["held"] for each in recordings)
    shown = furnished("show", "S-1", "--json").json["recording"]
    assert shown == recordings[2]


def test_what_is_on_hold_stays(furnished: Installation, three: list[Session]) -> None:
    """It is counted, and no failure; released, it goes."""
    furnished("hold", "G-1", "--reason", "INC-42")
    said = furnished("prune", "--yes")
    assert "0 recordings let go" in said.err
    assert "On hold, though due: 1 (bastion-admin holds)." in said.err
    furnished("release", "G-1", "--reason", "closed")
    assert "S-1 of alice" in furnished("prune", "--yes").out


async def test_one_that_is_corrupt_stays_and_the_rest_goes(
    furnished: Installation, three: list[Session]
) -> None:
    """It is evidence of something: exit status 1, with a sentence."""
    with furnished.services() as services:
        others = [await ended_ago(services, 40) for _ in range(2)]
    cast = cast_of(furnished, three[0])
    cast.write_bytes(cast.read_bytes().replace(b"hello", b"jello"))
    said = furnished("prune", "--yes", "--json", status=1)
    assert [each["session"] for each in said.json["recordings"]] == ["S-4", "S-5"]
    [left] = said.json["left"]
    assert left == {"session": "S-1", "sentence": "S-1 stays: S-1.cast was changed."}
    assert files_of(furnished, others[1]) == left_of(others[1])
    assert len(files_of(furnished, three[0])) == 4
    assert "S-1 stays: S-1.cast was changed.\n" in furnished("prune", "--yes", status=1).err


async def test_one_that_is_encrypted_goes_as_any(furnished: Installation) -> None:
    """Without a key: the tombstone has the hash of what lay there."""
    settings = furnished.home.settings
    settings.write_text(settings.read_text().replace("# encrypt = false", "encrypt = true"))
    retain(furnished, "30d")
    with furnished.services() as services:
        session = await ended_ago(services, 40)
    assert "S-1.cast.zst.age" in files_of(furnished, session)
    furnished("prune", "--yes")
    assert files_of(furnished, session) == left_of(session)
    assert "nothing was changed" in furnished("verify", "--all").out


async def test_what_was_never_sealed_stays(furnished: Installation) -> None:
    """Nobody can say what it was."""
    retain(furnished, "30d")
    with furnished.services() as services:
        session = await ended_ago(services, 40)
        with services.store.write() as connection:
            connection.exec_driver_sql("DELETE FROM seals")
            connection.exec_driver_sql("UPDATE sessions SET sealed = false")
    assert "S-1 stays: it was never sealed." in furnished("prune", "--yes", status=1).err
    assert len(files_of(furnished, session)) == 4


async def test_what_another_machine_has_is_left_to_it(
    furnished: Installation, three: list[Session]
) -> None:
    """They share a database; a file that is missing here is missed nevertheless."""
    for suffix in (".cast", ".sent"):
        cast_of(furnished, three[0]).with_suffix(suffix).unlink()
    assert "S-1 stays: S-1.cast is missing." in furnished("prune", "--yes", status=1).err
    with furnished.services() as services:
        services.store.chain = replace(services.store.chain, node="other")
        with pytest.raises(NotHere, match="has its files"):
            services.pruning.let_go(next(services.pruning.due()), ROOT)
    assert furnished("prune", "--dry-run", "--json").json["elsewhere"] == 1


async def test_so_many_at_once(furnished: Installation) -> None:
    """And only of sessions that ended before a time."""
    retain(furnished, "2d")
    with furnished.services() as services:
        for days in (5, 4, 3):
            await ended_ago(services, days)
    assert len(furnished("prune", "--dry-run", "--json").json["recordings"]) == 3
    said = furnished("prune", "--yes", "--limit", "1", "--json").json
    assert ([each["session"] for each in said["recordings"]], said["more"]) == (["S-1"], 2)
    cut = json.loads(furnished("sessions", "--json").out)[0]["started_at"]
    assert "S-2 of alice" in furnished("prune", "--yes", "--until", cut).out
    assert "There is more" not in furnished("prune", "--yes").err


def test_nothing_goes_unless_somebody_wrote_it(furnished: Installation) -> None:
    """The default is for ever, and said."""
    for words in (["prune"], ["prune", "--dry-run"], ["prune", "--yes"]):
        assert "Everything is kept for ever" in furnished(*words).err
    assert told(furnished, "retention") == []


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("1m", "1m is less than a day"),
        ("soon", "'soon' is not a duration"),
    ],
)
def test_a_slip_in_the_rules_is_one_sentence(furnished: Installation, keep: str, said: str) -> None:
    """With its line; nothing runs by it."""
    retain(furnished, "30d", ("web-*", keep))
    refused = furnished("prune", "--dry-run", status=1).err
    assert said in refused
    assert ", line " in refused
    assert refused.count("\n") == 1
