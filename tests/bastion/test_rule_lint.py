"""What is odd about rules: found, with the mend; and nothing is said of what is well."""

import time
from dataclasses import replace

import pytest

from bastion.inventory import Role, User
from bastion.rule_lint import Finding, Severity, lint
from bastion.rules import Rules
from tests.bastion.rulesets import rules
from tests.bastion.values import a_key
from tests.bastion.worlds import NOW, host

ANN = User("ann", frozenset({Role.CONTRACTOR}), frozenset({"web"}), keys=(a_key("ann", False),))
BOB = User("bob", frozenset({Role.APPROVER}), frozenset({"leads"}), keys=(a_key("bob", False),))
EVE = User("eve", frozenset({Role.APPROVER}), frozenset({"leads"}), keys=(a_key("eve", True),))
GIL = replace(ANN, name="gil", groups=frozenset({"old"}), disabled_at=NOW)
USERS = [ANN, BOB, EVE, GIL]
WEB = host("web-1", labels=[("owner", "bob")])
HOSTS = [WEB, host("db-1")]

WELL = 'who = ["@web"]\nhosts = ["web-*"]\nlongest = "8h"\n'
ASKED = WELL + "approvals = [{ from = "


def found(*texts: str) -> list[Finding]:
    """What is odd about these."""
    return lint(rules(*texts), USERS, HOSTS, NOW)


def said(*texts: str) -> list[tuple[str, str, str]]:
    """Rule, severity and what it is."""
    return [(f.rule, f.severity, f.what) for f in found(*texts)]


def test_nothing_is_said_of_what_is_well() -> None:
    """Rules as somebody careful writes them."""
    assert (
        said(
            WELL + 'logins = ["a"]',
            ASKED + '["@leads"], count = 2 }, { from = ["label:owner", "eve"] }]'.replace("2", "1"),
        )
        == []
    )


def test_no_rules() -> None:
    """It may be meant, and it is told."""
    (finding,) = lint(Rules("", (), ""), USERS, HOSTS, NOW)
    assert (finding.rule, finding.severity) == ("", Severity.WARNING)


@pytest.mark.parametrize(
    ("text", "severity", "what", "mend"),
    [
        ('who = ["zoe"]', "error", "It is for nobody whose account is open.", "Invite them"),
        ('who = ["zoe", "ann"]', "warning", "There is no user zoe.", "bastion-admin user add"),
        ('who = ["anne", "ann"]', "warning", "There is no user anne.", "Do you mean ann?"),
        ('who = ["gil", "ann"]', "warning", "The account gil is closed.", "user enable gil"),
        ('who = ["@webs", "ann"]', "warning", "Nobody is in the group @webs.", "Do you mean web?"),
        ('who = ["*"]', "warning", "Everybody who has an account gets it", "Name users"),
        ('hosts = ["zzz"]', "error", "No host is meant by it.", "bastion-admin host list"),
        ('hosts = ["zzz", "web-1"]', "warning", "No host is meant by zzz.", "host list"),
        ('longest = "3653d"', "warning", "gives access alone (automatic), for any", "longest"),
        ('emergency = true\nlongest = "2d"', "warning", "2d is long for an emergency.", "1h"),
        ('keys = "hardware"', "error", "nobody whom it is for has one", "ed25519-sk"),
        ("watch = true", "error", "Somebody has to watch, and there is nobody", "--role auditor"),
        ('allow = ["command"]', "warning", "It allows any command, a shell among", "commands ="),
        (
            'allow = ["command"]\ncommands = ["vi x"]',
            "warning",
            "vi can start a shell and write files: vi x.",
            "Instead let the file go over sftp",
        ),
        (
            'approvals = [{ from = ["zoe", "bob"] }]',
            "warning",
            "There is no user zoe.",
            "bastion-admin user add",
        ),
        (
            'approvals = [{ from = ["bob", "@web"] }]\nwho = ["ann"]',
            "warning",
            "Nobody of @web has the role approver.",
            "--role approver",
        ),
        (
            'approvals = [{ from = ["@leads"], count = 3 }]',
            "error",
            "Too few could ever approve: it takes 3 of @leads.",
            "Name more approvers",
        ),
        (
            'approvals = [{ from = ["bob"] }, { from = ["bob"] }]',
            "error",
            "Too few could ever approve: it takes bob and bob.",
            "ask for fewer",
        ),
        (
            'approvals = [{ from = ["bob"] }]\napprover_keys = "hardware"',
            "error",
            "Too few could ever approve: it takes bob.",
            "Name more",
        ),
        (
            'hosts = ["*"]\napprovals = [{ from = ["label:owner"] }]',
            "warning",
            "Too few could ever approve on db-1: it takes the host's owner.",
            "Name more",
        ),
        (
            'who = ["@web", "bob"]\napprovals = [{ from = ["bob"] }]',
            "warning",
            "Too few others could approve what bob may ask for: it takes bob.",
            "Name more",
        ),
        (
            'who = ["@leads"]\napprovals = [{ from = ["@leads"] }]',
            "remark",
            "@leads may both ask and approve: each for the others.",
            "Name other approvers",
        ),
    ],
)
def test_what_is_odd(text: str, severity: str, what: str, mend: str) -> None:
    """Each by its severity, in one sentence, with the mend."""
    keys = {line.split(" ")[0] for line in text.splitlines()}
    rest = [line for line in WELL.splitlines() if line.split(" ")[0] not in keys]
    findings = found("\n".join([text, *rest]))
    matching = [f for f in findings if what in f.what]
    assert matching, findings
    assert matching[0].severity == severity
    assert mend in matching[0].mend
    assert all(f.what[0].isupper() or f.what[0] in "@v2" for f in findings)


def test_a_sponsor_is_left_out() -> None:
    """Who vouches for somebody can't approve what she asks for."""
    vouched = replace(ANN, sponsor="bob", enrolled_by="eve")
    text = ASKED + '["@leads"] }]'
    assert [f.what for f in lint(rules(text), [vouched, BOB, EVE], HOSTS, NOW)] == [
        "Too few could ever approve: it takes one of @leads."
    ]


@pytest.mark.parametrize(
    ("first", "second", "severity", "what"),
    [
        (WELL, WELL, "error", "It never decides: 'rule 1' before it takes all of it."),
        ('longest = "9h"', WELL, "error", "It never decides"),
        (WELL, WELL + "automatic = true\noperators = true", "error", "It never decides"),
        (
            WELL,
            WELL + "automatic = true\nemergency = true",
            "warning",
            "It never decides for the way request: 'rule 1' before it does.",
        ),
        (ASKED + '["bob"] }]', WELL + "operators = true", "error", "It never decides"),
        (WELL + "operators = true", WELL, None, ""),
        (WELL + "emergency = true", WELL, None, ""),
        (WELL, WELL.replace("8h", "9h"), None, ""),
        (WELL + 'days = "mon-fri"', WELL, None, ""),
        (WELL + 'sources = ["10.0.0.0/8"]', WELL, None, ""),
        (WELL.replace("web-*", "web-?"), WELL, None, ""),
        (WELL.replace("web-*", "web-?"), WELL.replace("web-*", "web-1"), "error", "It never"),
    ],
)
def test_rules_that_are_never_heard(
    first: str, second: str, severity: str | None, what: str
) -> None:
    """An earlier one takes everything of it, in all of its ways or in one."""
    about = [f for f in found(first, second) if f.rule == "rule 2" and "never" in f.what]
    assert [f.severity for f in about] == ([] if severity is None else [severity])
    assert all(f.what.startswith(what) for f in about)


def test_many_rules_and_people_take_a_moment() -> None:
    """Two hundred rules, a thousand people, five hundred hosts with owners of their own."""
    people = [
        replace(ANN if n % 10 else BOB, name=f"u{n}", groups=frozenset({f"g{n % 50}"}))
        for n in range(1000)
    ]
    hosts = [host(f"web-{n}", labels=[("owner", f"u{n}")]) for n in range(500)]
    texts = [
        f'who = ["@g{n % 50}"]\nhosts = ["web-{n}*"]\nlongest = "{n + 1}h"\n'
        f'approvals = [{{ from = ["@g{(n + 1) % 50}", "label:owner"], count = 2 }}]'
        for n in range(200)
    ]
    begun = time.process_time()
    lint(rules(*texts), people, hosts, NOW)
    assert time.process_time() - begun < 10


def test_an_auditor_is_watched_by_another() -> None:
    """Whoever may watch everybody else is alone where she asks herself."""
    ada = User("ada", frozenset({Role.AUDITOR}), frozenset({"web"}), keys=(a_key("ada", False),))
    watched = rules(WELL + "watch = true")
    (finding,) = lint(watched, [*USERS, ada], HOSTS, NOW)
    assert (finding.severity, finding.what) == (
        Severity.WARNING,
        "There is nobody who could watch ada.",
    )
    other = replace(ada, name="max", groups=frozenset(), roles=frozenset({Role.ADMIN}))
    assert lint(watched, [*USERS, ada, other], HOSTS, NOW) == []
