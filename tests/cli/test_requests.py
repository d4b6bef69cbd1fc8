"""Deciding: requests are listed, shown, approved, denied and withdrawn, over SSH and here."""

import csv
import io

import pytest

from bastion.app import Services
from tests.cli.desks import Installation, Remote

TO = "--login deploy --shell --for 2h --reason disk full"


@pytest.fixture
def alice(bastion: Services) -> Remote:
    """A contractor with a request for each of the two hosts."""
    alice = Remote(bastion, "alice")
    alice.typed(f"request web-1 {TO}")
    alice.typed(f"request db-1 {TO} --ticket OPS-17")
    return alice


@pytest.fixture
def bob(bastion: Services, alice: Remote) -> Remote:
    """A lead."""
    return Remote(bastion, "bob")


@pytest.fixture
def dave(bastion: Services, alice: Remote) -> Remote:
    """Of security."""
    return Remote(bastion, "dave")


def ids(somebody: Remote | Installation, *words: str) -> list[str]:
    """The ids that a list of requests tells."""
    return [each["id"] for each in somebody("requests", *words, "--json").json]


def test_approvers_see_what_they_may_decide(bob: Remote, dave: Remote, bastion: Services) -> None:
    """The rest is counted; auditors, who decide nothing, see all that wait."""
    assert ids(bob) == ["R-2", "R-1"]
    assert ids(dave) == ["R-2"]
    assert dave("requests").err == "1 more waits for others: ssh bastion requests --all\n"
    assert ids(Remote(bastion, "rita")) == ["R-2", "R-1"]
    assert "1 request waits for you to decide: ssh bastion requests" in dave().out
    assert "2 requests wait for you to decide" in bob().out
    bob("approve", "R-2")
    assert ids(bob) == ["R-1"]
    dave("approve", "R-2")
    assert dave("requests").out.count("\n") == 2
    assert "to decide" not in dave().out


def test_lists_are_narrowed(bob: Remote, bastion: Services) -> None:
    """By person, state and time; what is decided comes with what came of it."""
    bob("approve", "R-1")
    Remote(bastion, "zoe").typed("request web-1 --login root --shell --for 1h --reason on call")
    assert ids(bob, "--all") == ["R-3", "R-2", "R-1"]
    assert ids(bob, "--all", "--user", "zoe") == ["R-3"]
    assert ids(bob, "--state", "approved") == ["R-3", "R-1"]
    assert ids(bob, "--state", "Pending", "--state", "denied") == ["R-2"]
    assert ids(bob, "--all", "--since", "2031-01-01T00:00Z") == []
    assert ids(bob, "--all", "--until", "2031-01-01T00:00Z") == ["R-3", "R-2", "R-1"]
    assert ids(bob, "--all", "--limit", "1") == ["R-3"]
    assert "There are more requests" in bob("requests", "--all", "--limit", "1").err
    assert "Do you mean alice?" in bob("requests", "--user", "alcie", status=1).err
    assert "G-2 by bob" in bob("requests", "--all").out
    rows = list(csv.DictReader(io.StringIO(bob("requests", "--all", "--csv").out)))
    assert [row["outcome"] for row in rows][1:] == [
        "waits for one of @leads and one of @security",
        "G-2 by bob",
    ]


def test_one_is_shown_with_its_whole_story(bob: Remote, dave: Remote) -> None:
    """And with what decides it, to whoever may."""
    told = bob("requests", "R-2")
    for words in ("alice", "db-1", "OPS-17", "disk full", "databases by both", "bob, carol, dave"):
        assert words in told.out
    assert "Decide: ssh bastion approve R-2" in told.err
    bob.typed("approve R-2 --for 1h --comment one hour's enough")
    told = dave("show", "r-2")
    assert "bob has agreed for 1h: one hour's enough" in told.out
    assert bob("show", "R-2").err == ""
    assert "There is no request R-9: ssh bastion requests" in bob("show", "R-9", status=1).err
    assert "There is no request R-9" in bob("requests", "R-9", status=1).err


def test_an_approval_gives_the_grant(bob: Remote, alice: Remote) -> None:
    """Its number on stdout, whom it lets in beside; the grant names request, rule and approver."""
    said = bob("approve", "R-1")
    assert said.out == "G-2\n"
    assert said.err.startswith("R-1 is granted as G-2: alice may reach web-1 as deploy until ")
    grant = alice("status", "--json").json[1]
    told = ("request", "rule", "approved_by", "override", "emergency", "watch", "hardware")
    assert [grant[name] for name in told] == [
        *("R-1", "web by the leads", ["bob"]),
        *(False, False, False, False),
    ]
    assert len(grant["policy"]) == 64
    assert grant["reviewed_at"] is grant["reviewed_by"] is grant["review_comment"] is None


def test_an_approval_is_for_less_and_never_for_more(bob: Remote, alice: Remote) -> None:
    """What was approved is what was asked for, or narrower."""
    said = bob("approve", "R-1", "--for", "3h", status=2)
    assert "R-1 asks for 2h: an approval may be shorter, never longer." in said.err
    decided = bob("approve", "R-1", "--for", "1h", "--comment", "enough", "--json").json
    assert (decided["state"], decided["grant"], decided["decided_by"]) == ("approved", "G-2", "bob")
    (approval,) = decided["approvals"]
    assert (approval["by"], approval["duration"], approval["comment"]) == ("bob", 3600, "enough")


def test_two_approvals_are_two_people(bob: Remote, dave: Remote, bastion: Services) -> None:
    """Who agreed once waits for somebody else; another of the same group adds nothing."""
    said = bob("approve", "R-2")
    assert (said.out, said.err) == ("R-2\n", "R-2 waits for one of @security: dave.\n")
    assert "You have approved R-2 already" in bob("approve", "R-2", status=1).err
    Remote(bastion, "carol")("approve", "R-2", status=None)
    assert dave("approve", "R-2").out == "G-2\n"


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        ("approve R-9", 1, "There is no request R-9"),
        ("approve", 2, "Missing argument"),
        ("approve G-1", 2, "is not an id: write it as in R-7"),
        ("approve R-1 R-2", 2, "extra argument (R-2). See"),
        ("approve R-1 --for 0h", 2, "no time at all"),
        (f"approve R-1 --comment {'x' * 501}", 2, "The comment has 501 characters"),
        ("approve R-1 --comment a\x1b[31mb", 2, "control characters"),
        ("deny R-1", 2, "Missing option '--reason'"),
        ("deny R-1 --reason", 2, "Missing option '--reason'"),
        (f"deny R-1 --reason {'x ' * 300}", 2, "at most 500"),
        ("deny R-9 --reason x", 1, "There is no request R-9"),
        ("cancel R-1", 2, "No such command 'cancel'"),
        ("extend G-9 --for 1h", 1, "There is no grant G-9"),
        ("extend G-1", 2, "Missing option '--for'"),
        ("revoke G-9 --reason it's over", 1, "There is no grant G-9"),
        ("requests --state maybe", 2, "'maybe' is not one of"),
        ("requests R-1 R-2", 2, "extra argument"),
        ("requests --json --csv", 2, "can't both be"),
        ("show R-1!", 2, "names nothing"),
    ],
)
def test_what_cannot_be_is_one_sentence(bob: Remote, line: str, status: int, sentence: str) -> None:
    """And decides nothing."""
    said = bob.typed(line, status)
    assert (said.out, said.err.count("\n")) == ("", 1), said
    assert sentence in said.err
    assert said.err.replace("\n", "").isprintable()
    assert ids(bob) == ["R-2", "R-1"]


def test_what_is_decided_stays_decided(bob: Remote, alice: Remote) -> None:
    """Whoever comes later is told what it came to."""
    bob("approve", "R-1")
    assert "R-1 was approved as G-2 already, by bob." in bob("approve", "R-1", status=1).err
    assert "R-1 was approved as G-2" in bob.typed("deny R-1 --reason x", 1).err
    assert "R-1 was approved as G-2" in alice("cancel", "R-1", status=1).err
    said = bob.typed("deny R-2 --reason it's Friday")
    assert said.err == "R-2 was denied by bob: it's Friday.\n"
    assert "R-2 was denied already, by bob." in bob("approve", "R-2", status=1).err


def test_nobody_decides_what_is_not_hers_to_decide(alice: Remote, bastion: Services) -> None:
    """Not of another group, not an admin, not the requester, who has no such verb."""
    dave, adam = Remote(bastion, "dave"), Remote(bastion, "adam")
    assert "not for dave to decide" in dave("approve", "R-1", status=1).err
    assert "adam is no approver" in adam("approve", "R-1", status=1).err
    assert "No such command" in alice("approve", "R-1", status=2).err
    other = Remote(bastion, "zoe")("cancel", "R-1", status=1).err
    missing = Remote(bastion, "zoe")("cancel", "R-9", status=1).err
    assert other == missing.replace("R-9", "R-1")


def test_an_approver_extends_a_grant_at_once(bob: Remote, alice: Remote) -> None:
    """Where one consent is enough; else it is a request that waits for the others."""
    bob("approve", "R-1")
    said = bob.typed("extend G-2 --for 1h --reason not done")
    assert (said.out, said.err.startswith("G-2 ends at ")) == ("G-2\n", True)
    told = bob("requests", "R-3", "--json").json
    assert (told["extends"], told["state"], told["asked_by"]) == ("G-2", "approved", "bob")
    dave = Remote(bob.services, "dave")
    bob("approve", "R-2")
    dave("approve", "R-2")
    said = bob.typed("extend G-3 --for 1h")
    assert (said.out, said.err) == ("R-4\n", "R-4 waits for one of @security: dave.\n")
    assert dave.typed("extend G-3 --for 1h").out == "G-3\n"
    bob.typed("revoke G-3 --reason over")
    assert "G-3 was revoked" in bob.typed("extend G-3 --for 1h", 1).err


def test_a_request_for_what_is_gone_says_so(bob: Remote, ruled: Installation) -> None:
    """Where the rules or the hosts have changed: it waits for nobody, and the reason is told."""
    rules = ruled.home.policy.read_text()
    ruled.home.policy.write_text(rules.replace('"web-*"', '"www-*"'))
    told = bob("requests", "R-1")
    assert "R-1 can't be approved any more" in told.err
    assert "Decide" not in told.err
    assert "R-1 can't be approved any more" in bob("approve", "R-1", status=1).err
    assert ids(bob) == ["R-2"]


def mapped(machine: Installation, account: str, user: str) -> None:
    """From now on it is `account` of the machine that types, and acts as `user`."""
    file, line = machine.home.settings, f'{account} = "{user}"'
    file.write_text(file.read_text().replace("[accounts]\n", f"[accounts]\n{line}\n"))
    machine.account = account


def test_an_account_of_the_machine_acts_as_its_user(alice: Remote, ruled: Installation) -> None:
    """One that is mapped to nobody can't approve, as nobody knows who it is."""
    refused = ruled("approve", "R-1", status=1)
    assert "os:tester is nobody that the bastion knows" in refused.err
    assert ids(ruled) == ["R-2", "R-1"]
    mapped(ruled, "operator", "bob")
    assert ruled("approve", "R-1").out == "G-2\n"
    (approval,) = ruled("requests", "R-1", "--json").json["approvals"]
    assert approval["by"] == "bob"
    assert ruled("deny", "R-2", "--reason", "it's Friday").err == (
        "R-2 was denied by bob: it's Friday.\n"
    )
    assert ruled("extend", "G-2", "--for", "1h").out == "G-2\n"
    ruled("revoke", "G-2", "--reason", "over")
    assert ruled("show", "G-2", "--json").json["revoked_by"] == "bob"


def test_who_let_the_requester_in_is_no_approver(alice: Remote, ruled: Installation) -> None:
    """Whichever account of the machine it was."""
    mapped(ruled, "tester", "bob")
    assert "bob let alice in here" in ruled("approve", "R-1", status=1).err


def test_nobody_approves_or_grants_to_herself_by_an_account(
    alice: Remote, ruled: Installation
) -> None:
    """The machine's account is the person that it is mapped to."""
    mapped(ruled, "operator", "alice")
    assert "for herself" in ruled("approve", "R-1", status=1).err
    assert "withdraw it" in ruled("deny", "R-1", "--reason", "x", status=1).err
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    refused = ruled("grant", "alice", "--host", "web-1", *to, status=1)
    assert "Nobody grants to herself" in refused.err


def test_a_list_tells_what_each_request_would(bob: Remote, alice: Remote) -> None:
    """Looked at together or one by one: whom it waits for, and who may decide, are the same."""
    dave = Remote(bob.services, "dave")
    bob("approve", "R-2")
    bob.typed("deny R-1 --reason x")
    alice.typed(f"request web-1 {TO}")
    listed = {each["id"]: each for each in bob("requests", "--all", "--json").json}
    assert sorted(listed) == ["R-1", "R-2", "R-3"]
    for name, told in listed.items():
        assert bob("show", name, "--json").json == told
    for somebody in (bob, dave):
        decidable = {name for name in listed if "Decide" in somebody("show", name).err}
        assert set(ids(somebody)) == decidable != set()
