"""`policy`: the rules are looked at and tried before anybody needs them."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from bastion.actor import Actor
from cli import door
from cli.desk import Desk
from cli.output import Output
from cli.policy import own_policy, policy
from cli.verb import run
from tests.cli.desks import Installation, Said, Words

Typed = Callable[..., Said]


def typing(home: Path, group: click.Group) -> Typed:
    """Somebody who types the verbs of `group` there."""

    def typed(*words: str, status: int = 0) -> Said:
        heard = Words()
        output = Output(heard.out.append, heard.err.append, False, 200)
        desk = Desk("bastion-admin", output, Actor("os:tester", account="tester"), door.entered)
        desk.directory = home
        said = heard.said(run(group, words, desk))
        assert said.status == status, f"{words}: {said}"
        return said

    return typed


@pytest.fixture
def typed(ruled: Installation) -> Typed:
    """`bastion-admin policy WORDS`."""
    return typing(ruled.home.directory, policy)


# check


def test_checking_says_what_is_odd(typed: Typed, ruled: Installation) -> None:
    """Each finding with its rule and the mend; without an error the status is 0."""
    assert typed("check").err.endswith("; nothing is odd.\n")
    text = ruled.home.policy.read_text()
    ruled.home.policy.write_text(text.replace('hosts = ["web-*"]', 'hosts = ["web-*", "x"]'))
    said = typed("check")
    assert said.err.startswith(f"{ruled.home.policy}: 5 rules, version ")
    assert said.err.endswith("; 1 finding.\n")
    assert "No host is meant by x." in said.out
    found = typed("check", "--json").json
    assert (found["rules"], found["mistake"], len(found["version"])) == (5, None, 64)
    assert found["findings"] == [
        {
            "rule": "web by the leads",
            "severity": "warning",
            "what": "No host is meant by x.",
            "mend": "bastion-admin host list shows what there is.",
        }
    ]


def test_another_file_can_be_checked_before_it_counts(
    typed: Typed, ruled: Installation, tmp_path: Path
) -> None:
    """Nobody gets anything by it: an error, status 1."""
    new = tmp_path / "new.toml"
    new.write_text(ruled.home.policy.read_text().replace('hosts = ["web-*"]', 'hosts = ["x"]'))
    said = typed("check", str(new), status=1)
    assert "error" in said.out
    assert "web by the leads" in said.out
    assert "No host is meant by it." in said.out
    new.write_text("")
    assert "There is no rule" in typed("check", str(new)).out


def test_a_broken_file_is_one_sentence(typed: Typed, ruled: Installation, tmp_path: Path) -> None:
    """With the line; as JSON it is a document too."""
    new = tmp_path / "new.toml"
    new.write_text("\n[[rule]]\nnam = 'x'\n")
    said = typed("check", str(new), status=1)
    assert said.out == ""
    sentence = f"{new}, line 3: 'rule.nam' is not a setting. Do you mean name?"
    assert said.err == f"bastion-admin: {sentence}\n"
    assert typed("check", str(new), "--json", status=1).json == {
        "file": str(new),
        "version": None,
        "rules": None,
        "mistake": sentence,
        "findings": [],
    }
    assert "is missing" in typed("check", str(tmp_path / "no"), status=1).err
    assert "Is a directory" in typed("check", str(tmp_path), status=1).err


def test_over_ssh_no_other_file_is_looked_at(ruled: Installation) -> None:
    """The verb takes no path there, and says the same of the bastion's own."""
    remote = typing(ruled.home.directory, own_policy)
    here = typing(ruled.home.directory, policy)
    assert remote("check") == here("check")
    assert "unexpected extra argument" in remote("check", "/etc/shadow", status=2).err
    for name, command in own_policy.commands.items():
        kinds = [type(parameter.type) for parameter in command.params]
        assert click.Path not in kinds, name
        assert click.File not in kinds, name


# test


def test_a_yes_names_the_rule_and_who_has_to_agree(typed: Typed) -> None:
    """Every look at every rule up to the one that decides."""
    said = typed("test", "alice", "www", "--login", "deploy", "--shell")
    lines = said.out.splitlines()
    assert lines[0].split() == ["RULE", "LOOKED", "AT", "RESULT", "WANTS", "ASKED"]
    assert {line.split("  ")[0] for line in lines[1:-2]} == {"web by the leads"}
    assert lines[-2].startswith("Yes, by the rule 'web by the leads' of version ")
    assert lines[-1] == "Has to agree: one of @leads (bob or carol)."
    found = typed("test", "alice", "web-1", "--login", "deploy", "--json").json
    assert (found["answer"], found["rule"]) == ("yes", "web by the leads")
    assert (found["needs"], found["people"]) == (["one of @leads"], ["bob", "carol"])
    assert [step["decides"] for step in found["steps"]] == [True, False, False, False, False]
    assert found["missing"] == ["The reason is missing: say --reason and a few words."]


def test_a_no_names_what_the_nearest_rule_wanted(typed: Typed) -> None:
    """Each rule up to the look that it failed; status 1."""
    said = typed("test", "alice", "web-1", "--login", "deploy", "--for", "9h", status=1)
    assert said.out.endswith("No. 9h is too long for web-1: at most 8h.\n")
    assert "not ok  at most 8h" in said.out
    found = typed("test", "alice", "db-1", "--login", "root", "--json", status=1).json
    assert (found["answer"], found["rule"], found["code"]) == ("no", None, "logins")
    assert found["against"] == [
        "No rule lets alice log in to db-1 as root; deploy can be asked for."
    ]


def test_ways(typed: Typed) -> None:
    """In an emergency, and by an operator."""
    words = ("test", "alice", "db-1", "--login", "root")
    said = typed(*words, "--way", "emergency")
    assert "by the rule 'break glass'" in said.out
    assert "alice may take it in an emergency." in said.out
    assert "by the rule 'operators'" in typed(*words, "--way", "operator").out


def test_a_reason_and_a_ticket_are_judged_where_they_are_given(typed: Typed) -> None:
    """Otherwise they are only told as missing."""
    words = ("test", "alice", "db-1", "--login", "deploy")
    assert "Only with a ticket OPS-[0-9]+." in typed(*words).out
    assert "The ticket is missing" in typed(*words, "--reason", "x", status=1).out
    assert "has to have the form" in typed(*words, "--reason", "x", "--ticket", "7", status=1).out
    assert "Yes, by" in typed(*words, "--reason", "x", "--ticket", "OPS-7").out


def test_when_and_from_where(typed: Typed, ruled: Installation) -> None:
    """The rule's hours and networks are held against them."""
    limits = 'longest = "8h"\ndays = "mon-fri"\nhours = "09:00-18:00"\nsources = ["10.0.0.0/8"]'
    text = ruled.home.policy.read_text()
    ruled.home.policy.write_text(text.replace('longest = "8h"', limits, 1))
    words = ("test", "alice", "web-1", "--login", "deploy")
    said = typed(*words, "--at", "2026-11-23T08:00Z", "--for", "2h", "--source", "10.1.2.3")
    assert "Only within mon-fri 09:00-18:00 UTC." in said.out
    assert "It could be used from 2026-11-23 09:00 UTC on." in said.out
    late = typed(*words, "--at", "2026-11-23T20:00Z", status=1)
    assert "within these hours only: mon-fri 09:00-18:00 UTC." in late.out
    away = typed(*words, "--source", "192.0.2.7", status=1)
    assert "No. It can't be used from 192.0.2.7." in away.out


def test_who_can_not_ask_at_all(typed: Typed, ruled: Installation) -> None:
    """A closed account, a user without the role; and names that are not there."""
    ruled("user", "disable", "zoe")
    words = ("--login", "root")
    assert "No. The account zoe is closed." in typed("test", "zoe", "web-1", *words, status=1).out
    text = ruled.home.policy.read_text().replace('who = ["zoe"]', 'who = ["rita"]')
    ruled.home.policy.write_text(text)
    said = typed("test", "rita", "web-1", *words, status=1)
    assert "rita has not the role contractor" in said.out
    assert "Do you mean alice?" in typed("test", "alise", "web-1", *words, status=1).err
    assert "Do you mean web-1?" in typed("test", "alice", "web-2", *words, status=1).err
    assert typed("test", "alice", "web-1", status=2).err


def test_rules_that_are_broken_since_are_not_the_ones_in_force(
    typed: Typed, ruled: Installation
) -> None:
    """What is tried are those in force, and that is said."""
    words = ("test", "alice", "web-1", "--login", "deploy")
    before = typed(*words)
    ruled.home.policy.write_text("x =")
    said = typed(*words)
    assert said.out == before.out
    assert "is not TOML" in said.err
    assert "The rules before it stay in force." in said.err


# who-can, what-can


def test_who_can(typed: Typed, ruled: Installation) -> None:
    """Everybody whose account is open, by rule and way."""
    ruled("user", "disable", "zoe")
    rows = typed("who-can", "db", status=1)
    assert "Do you mean db-1?" in rows.err
    found = typed("who-can", "db-1", "--json").json
    assert [(r["user"], r["way"], r["rule"]) for r in found if r["user"] in ("alice", "zoe")] == [
        ("alice", "request", "databases by both"),
        ("alice", "emergency", "break glass"),
        ("alice", "operator", "operators"),
    ]
    assert found[0] == {
        "user": "adam",
        "host": "db-1",
        "rule": "operators",
        "way": "operator",
        "logins": ["*"],
        "modes": ["shell", "command"],
        "commands": [],
        "files": [],
        "forwards": [],
        "longest": 30 * 86400,
        "approvals": None,
        "limits": [],
    }
    said = typed("who-can", "db-1").out
    assert "one of @leads and one of @security" in said
    assert "with a ticket OPS-[0-9]+" in said


def test_what_can(typed: Typed, ruled: Installation) -> None:
    """By host; somebody whose account is closed can have nothing."""
    found = typed("what-can", "zoe", "--json").json
    assert [(r["host"], r["way"], r["rule"]) for r in found] == [
        ("db-1", "request", "on call"),
        ("db-1", "operator", "operators"),
        ("web-1", "request", "on call"),
        ("web-1", "operator", "operators"),
    ]
    assert typed("what-can", "zoe", "--csv").out.startswith("host,rule,way,logins,allows,")
    ruled("user", "disable", "zoe")
    said = typed("what-can", "zoe", "--json")
    assert json.loads(said.out) == []
    assert said.err == "The account zoe is closed.\n"
