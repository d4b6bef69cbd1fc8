"""Grants on the command line: given, listed, ended, and refused in one sentence."""

import csv
import io
from typing import Any

import pytest

from tests.cli.desks import Installation

CONTRACT = {
    "id",
    "user",
    "hosts",
    "logins",
    "allows",
    "starts_at",
    "expires_at",
    "state",
    "reason",
    "ticket",
    "approved_by",
}


def test_a_grant_is_told_with_the_names_of_the_contract(furnished: Installation) -> None:
    """`grant --json` and `grants --json` give the same, one document on stdout."""
    words = ("--login", "deploy", "--command", "systemctl restart nginx", "--command", "uptime")
    given = furnished(
        "grant", "alice", "--host", "db-1", *words, "--for", "90m", "--reason", "roll out", "--json"
    ).json
    assert given.keys() >= CONTRACT
    assert given["id"] == "G-2"
    commands = ["systemctl restart nginx", "uptime"]
    assert given["allows"] == {
        "shell": False,
        "commands": commands,
        "sftp": [],
        "forwards": [],
    }
    assert (given["hosts"], given["logins"], given["state"]) == (["db-1"], ["deploy"], "active")
    assert given["starts_at"].endswith("Z")
    listed = furnished("grants", "--json").json
    assert [each["id"] for each in listed] == ["G-2", "G-1"]
    assert listed[0] == given


def test_the_id_is_on_stdout_and_what_is_said_about_it_beside(furnished: Installation) -> None:
    """So that a script takes the id, and a person reads the sentence."""
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    said = furnished("grant", "alice", "--host", "label:env=prod", *to)
    assert said.out == "G-2\n"
    assert said.err.startswith("alice may reach label:env=prod as deploy until ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--shell", "--for", "-2h"), "'-2h' is negative: a duration is as in 90m, 2h or 1d."),
        (("--shell", "--for", "soon"), "'soon' is not a duration"),
        (("--shell", "--until", "2020-01-01T00:00Z"), "2020-01-01 00:00 UTC, is past already."),
        (("--shell",), "Say how long: either --for DURATION or --until TIME."),
        (("--shell", "--for", "1h", "--until", "2099-01-01Z"), "is not a time"),
        (("--for", "1h"), "That grant would allow nothing"),
        (("--command", "rm -rf / ; id", "--for", "1h"), "';'"),
        (("--shell", "--sftp", "run", "--for", "1h"), "names no files"),
        (("--shell", "--forward", "db", "--for", "1h"), "names no port"),
        (("--shell", "--hours", "9-18", "--for", "1h"), "'9-18' are no hours"),
        (("--shell", "--days", "mon-sum", "--for", "1h"), "do you mean sun?"),
        (("--shell", "--days", "mon", "--tz", "Europe/Berln", "--for", "1h"), "Europe/Berlin?"),
        (("--shell", "--tz", "UTC", "--for", "1h"), "--tz means nothing without --days"),
        (("--shell", "--for", "1h", "--source", "10.0.0.1/8"), "do you mean 10.0.0.0/8?"),
        (("--shell", "--for", "9999999999h"), "is not a duration"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    furnished: Installation, words: tuple[str, ...], sentence: str
) -> None:
    """Bad input ends with 2, says why on stderr, and grants nothing."""
    common = ("grant", "alice", "--host", "web-1", "--login", "deploy", "--reason", "x")
    said = furnished(*common, *words, status=2)
    assert said.out == ""
    assert said.err.startswith("bastion-admin: ")
    assert said.err.count("\n") == 1
    assert sentence in said.err
    assert len(furnished("grants", "--json").json) == 1


@pytest.mark.parametrize(
    ("user", "host", "sentence"),
    [
        ("alcie", "web-1", "There is no user alcie. Do you mean alice?"),
        ("alice", "web-2", "There is no host web-2: do you mean web-1?"),
        ("zoe", "web-1", "There is no user zoe."),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    furnished: Installation, user: str, host: str, sentence: str
) -> None:
    """Not found ends with 1."""
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    assert sentence in furnished("grant", user, "--host", host, *to, status=1).err


def test_a_time_without_a_zone_is_taken_as_utc_and_said(furnished: Installation) -> None:
    """On stderr, so that the answer stays what it is."""
    to = ("--login", "deploy", "--shell", "--from", "2031-05-06T00:00Z", "--reason", "x", "--json")
    said = furnished("grant", "alice", "--host", "web-1", "--until", "2031-05-06T07:08", *to)
    assert said.json["expires_at"] == "2031-05-06T07:08:00Z"
    assert "2031-05-06T07:08 has no zone and is taken as 2031-05-06 07:08 UTC." in said.err
    zoned = furnished("grant", "alice", "--host", "web-1", "--until", "2031-05-06T09:08+02:00", *to)
    assert zoned.json["expires_at"] == "2031-05-06T07:08:00Z"
    assert "has no zone" not in zoned.err


def listed(admin: Installation, *words: str) -> list[str]:
    """The ids of the grants that a list tells of."""
    rows: list[dict[str, Any]] = admin("grants", *words, "--json").json
    return [row["id"] for row in rows]


def test_lists_are_narrowed(furnished: Installation) -> None:
    """By person, host, login, state and time; an alias is the host."""
    to = ("--login", "ops", "--shell", "--reason", "x")
    soon = ("--from", "2031-01-01T00:00Z", "--for", "1h")
    furnished("grant", "olga", "--host", "label:env=prod", *to, *soon)
    assert listed(furnished) == ["G-2", "G-1"]
    assert listed(furnished, "--user", "alice") == ["G-1"]
    assert listed(furnished, "--host", "db-1") == ["G-2"]
    assert listed(furnished, "--host", "www") == ["G-1"]
    assert listed(furnished, "--login", "ops") == ["G-2"]
    assert listed(furnished, "--live") == ["G-1"]
    assert listed(furnished, "--state", "scheduled") == ["G-2"]
    assert listed(furnished, "--at", "2031-01-01T00:30Z") == ["G-2"]
    assert listed(furnished, "--since", "2030-01-01T00:00Z") == ["G-2"]
    assert listed(furnished, "--until", "2030-01-01T00:00Z") == ["G-1"]
    assert listed(furnished, "--limit", "1") == ["G-2"]
    assert "There are more grants" in furnished("grants", "--limit", "1").err
    assert "There is no user alcie" in furnished("grants", "--user", "alcie", status=1).err


def test_a_list_as_csv_is_no_formula(furnished: Installation) -> None:
    """A reason that a spreadsheet would run is made plain text."""
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "=HYPERLINK(1)")
    furnished("grant", "alice", "--host", "web-1", *to)
    rows = list(csv.DictReader(io.StringIO(furnished("grants", "--csv").out)))
    assert [row["id"] for row in rows] == ["G-2", "G-1"]
    assert rows[0]["reason"] == "'=HYPERLINK(1)"
    assert rows[1]["until"].endswith("Z")
    assert "can't both be" in furnished("grants", "--csv", "--json", status=2).err


def test_an_empty_list_is_empty_and_said(admin: Installation) -> None:
    """Nothing on stdout but for JSON, which is always a document."""
    assert (admin("grants").out, admin("grants").err) == ("", "No grants.\n")
    assert admin("grants", "--json").json == []


def test_a_grant_is_revoked_once(furnished: Installation) -> None:
    """The second time it is over already; what is no grant is said to be none."""
    furnished("revoke", "g-1", "--reason", "laptop lost")
    (grant,) = furnished("grants", "--json").json
    assert (grant["state"], grant["revoked_by"], grant["revoke_reason"]) == (
        "revoked",
        "os:tester",
        "laptop lost",
    )
    assert "already" in furnished("revoke", "G-1", "--reason", "again", status=1).err
    assert "There is no grant G-9." in furnished("revoke", "G-9", "--reason", "x", status=1).err
    assert "no certificate 7" in furnished("revoke", "7", "--reason", "x", status=1).err
    assert "neither a grant nor" in furnished("revoke", "x", "--reason", "x", status=2).err


def test_what_a_terminal_would_act_on_is_shown_as_text(furnished: Installation) -> None:
    """Tables, too, are of what people wrote."""
    table = furnished("grants", terminal=True, width=100).out
    assert "disk full" in table
    assert "\x1b" not in table  # no colours without a colour terminal
    refused = furnished("show", "\x1b]0;x\x07", status=2)
    assert "\x1b" not in refused.err


def test_a_grant_has_days_and_hours_and_a_watcher(furnished: Installation) -> None:
    """As JSON and as a sentence; what they mean is said."""
    to = ("--login", "deploy", "--shell", "--for", "7d", "--reason", "migration")
    window = ("--days", "mon-sun", "--hours", "00:00-23:59", "--tz", "Europe/Berlin")
    said = furnished("grant", "alice", "--host", "db-1", *to, *window, "--watch-required")
    assert "mon-sun 00:00-23:59 Europe/Berlin" in said.err
    assert "G-2 starts nothing until an auditor watches." in said.err
    given = furnished("show", "G-2", "--json").json
    assert given["window"] == {"days": "mon-sun", "hours": "00:00-23:59", "tz": "Europe/Berlin"}
    assert (given["watch"], given["hardware"], given["override"]) == (True, False, False)
    assert (given["request"], given["rule"] is None, len(given["policy"])) == (None, False, 64)
    told = furnished("show", "G-2").out
    assert "mon-sun 00:00-23:59 Europe/Berlin" in told
    assert "only while an auditor watches" in told


def test_what_the_rules_forbid_takes_an_override(ruled: Installation) -> None:
    """Which is said, and stays with the grant."""
    to = ("--login", "deploy", "--shell", "--for", "40d", "--reason", "long haul")
    refused = ruled("grant", "alice", "--host", "web-1", *to, status=1)
    assert "too long" in refused.err
    said = ruled("grant", "alice", "--host", "web-1", *to, "--override")
    assert "The rules were not asked for G-2" in said.err
    given = ruled("show", "G-2", "--json").json
    assert (given["override"], given["rule"]) == (True, None)
    assert "none was asked (--override)" in ruled("show", "G-2").out
    assert [each["id"] for each in ruled("grants", "--override", "--json").json] == ["G-2"]


def test_the_end_of_a_short_grant_is_told_to_the_second(furnished: Installation) -> None:
    """Else it would seem to end when it begins."""
    to = ("--login", "deploy", "--shell", "--reason", "x", "--from", "2031-05-06T07:08:00Z")
    said = furnished("grant", "alice", "--host", "db-1", *to, "--for", "30s")
    assert "from 2031-05-06 07:08 until 2031-05-06 07:08:30 UTC: shell." in said.err
    assert "2031-05-06 07:08:30" in furnished("grants").out
