"""Asking over SSH: what is missing, lost quotes, questions at a terminal, and waiting."""

import csv
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bastion.app import Services
from bastion.clock import Clock
from tests.cli.desks import Remote

TO = "--login deploy --shell --for 2h --reason disk full"


@pytest.fixture
def alice(bastion: Services) -> Remote:
    """A contractor whom the leads let in to the web servers."""
    return Remote(bastion, "alice")


@pytest.fixture
def bob(bastion: Services) -> Remote:
    """A lead."""
    return Remote(bastion, "bob")


def test_the_answer_is_a_number_and_whom_it_waits_for(alice: Remote) -> None:
    """The number for a script, the sentence for a person."""
    said = alice.typed(f"request web-1 {TO}")
    assert said.out == "R-1\n"
    assert said.err == "R-1 waits for one of @leads: bob or carol.\n"
    assert "R-1 waits for one of @leads" in alice().out


CONTRACT = {
    *("id", "user", "asked_by", "hosts", "logins", "allows", "duration", "starts_at", "reason"),
    *("ticket", "sources", "window", "extends", "emergency", "state", "asked_at", "stale_at"),
    *("approvals", "waits_for", "people", "decided_at", "decided_by", "comment", "grant", "rule"),
    "policy",
}


def test_a_request_has_the_names_of_the_contract(alice: Remote, bob: Remote) -> None:
    """The same document wherever it is told."""
    line = "request web-1 --login deploy --shell --for 2h --reason x --ticket OPS-1"
    limits = "--source 192.0.2.0/24 --days mon-sun --hours 00:00-24:00 --tz Europe/Berlin --json"
    asked = alice.typed(f"{line} {limits}").json
    assert set(asked) == CONTRACT
    assert (asked["id"], asked["state"], asked["duration"]) == ("R-1", "pending", 7200)
    assert asked["window"] == {"days": "mon-sun", "hours": "00:00-00:00", "tz": "Europe/Berlin"}
    assert asked["sources"] == ["192.0.2.0/24"]
    assert asked["waits_for"] == ["one of @leads"]
    assert asked["people"] == ["bob", "carol"]
    assert bob("requests", "--json").json == [asked]
    assert bob("requests", "r-1", "--json").json == asked
    assert bob("show", "R-1", "--json").json == asked
    assert alice("status", "--json").json[0] == asked


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "request",
            "lacks HOST, --login LOGIN, --shell, --sftp, --forward or -- COMMAND, --for",
        ),
        (
            "request web-1 --reason x",
            "lacks --login LOGIN, --shell, --sftp, --forward or -- COMMAND and --for",
        ),
        ("request web-1 --login deploy --shell --reason x", "The request lacks --for DURATION:"),
        ("request web-1 --login deploy --shell --for 2h", "The reason is missing"),
        ("request web-1 --login deploy --shell --for 2h --reason", "The reason is missing"),
        ("request web-1 --login deploy --shell --reason --for 2h", "The reason is missing"),
        ("request db-1 --login deploy --shell --for 2h", "reason is missing: say --reason and a f"),
        ("request db-1 --login deploy --shell --for 2h", "The ticket is missing: say --ticket"),
        ("request --extend G-1", "lacks --for DURATION"),
    ],
)
def test_everything_that_is_missing_is_named_at_once(
    alice: Remote, line: str, sentence: str
) -> None:
    """In one line with status 2, where nobody can be asked; nothing is kept."""
    said = alice.typed(line, status=2)
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("ssh bastion: ")
    assert sentence in said.err
    assert alice("status", "--json").json[0]["id"] == "G-1"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--reason disk's full, don't panic --for 2h", "disk's full, don't panic"),
        ("--reason 'disk full' --for 2h", "disk full"),
        ('--reason "disk full" --for 2h', "disk full"),
        ("--for 2h --reason take it --to the end", "take it --to the end"),
        ("--for 2h --reason größer — 100 % 磁盘", "größer — 100 % 磁盘"),
        ("--for 2h --reason=disk full", "disk full"),
        ("--for 2h --reason -rf was typed", "-rf was typed"),
    ],
)
def test_a_reason_runs_to_the_next_option(alice: Remote, words: str, reason: str) -> None:
    """With its apostrophes, as ssh has dropped the quotes around it; quoted twice, as written."""
    asked = alice.typed(f"request web-1 --login deploy --shell --json {words}").json
    assert asked["reason"] == reason
    assert asked["duration"] == 7200


@pytest.mark.parametrize(
    ("words", "commands"),
    [
        ("-- systemctl status nginx", ["systemctl status nginx"]),
        ("-- grep -c 'a  b' /etc/passwd", ["grep -c 'a  b' /etc/passwd"]),
        ("-- uptime --reason x --for 9h", ["uptime --reason x --for 9h"]),
        ("--command uptime -p --command id", ["uptime -p", "id"]),
        ("--command uptime -p -- id -u", ["uptime -p", "id -u"]),
        ("--command 'uptime -p'", ["uptime -p"]),
        ("--command systemctl restart {a,b}", ["systemctl restart {a,b}"]),
        ("--command x {word} {words} -- y '{a,b}'", ["x {word} {words}", "y '{a,b}'"]),
    ],
)
def test_behind_two_dashes_all_is_the_command(
    alice: Remote, words: str, commands: list[str]
) -> None:
    """One command line, as it was typed; --command may name several."""
    line = f"request web-1 --login deploy --for 2h --reason roll out --json {words}"
    assert alice.typed(line).json["allows"]["commands"] == commands


@pytest.mark.parametrize(
    ("line", "status", "sentence"),
    [
        ("request web-1 --login deploy --for 1h --reason x -- ls; id", 2, "';' at character 3"),
        ("request web-1 --login deploy --for 1h --reason x -- echo $HOME", 2, "'$' at"),
        ("request web-1 --login deploy --for 1h --reason x -- echo {a,b}", 2, "'{' at"),
        ("request web-1 --login deploy --for 1h --reason x --command echo {a}", 2, "placeholder"),
        ("request web-1 --login deploy --for 9h --shell --reason x", 1, "at most 8h"),
        ("request web-1 --login root --for 1h --shell --reason x", 1, "deploy can be asked for"),
        ("request web-1 --login deploy --for soon --shell --reason x", 2, "is not a duration"),
        ("request web-1 --login dé --for 1h --shell --reason x", 2, "can't be a login"),
        ("request web/1 --login deploy --for 1h --shell --reason x", 2, "can't be a host"),
        ("request web-1 x --login deploy --for 1h --shell --reason x", 2, "extra argument (x)"),
        ("request web-1 --login deploy --for 1h --sftp run --reason x", 2, "names no files"),
        ("request web-1 --login a --for 1h --forward h --reason x", 2, "names no port"),
        ("request web-1 --login deploy --for 1h --shell --tz UTC --reason x", 2, "--tz means"),
        ("request web-1 --login deploy --for 1h --shell --days x --reason x", 2, "that is none"),
        ("request web-1 --login deploy --for 1h --shell --source x --reason x", 2, "'x'"),
        (
            "request web-1 --login deploy --for 1h --shell --from 2020-01-01T00:00Z --reason x",
            *(2, "is past: leave it out"),
        ),
        (f"request web-1 --login deploy --for 1h --shell --reason {'x' * 600}", 2, "at most 500"),
        (f"request db-1 {TO} --ticket {'OPS-' + '1' * 200}", 2, "ticket"),
        (f"request db-1 {TO} --ticket OPS", 2, "has to have the form OPS-[0-9]+"),
        ("request web-1 --login deploy --for 1h --shell --reason a\x1b[2Jb", 2, "control char"),
        ("request web-1 --login deploy --for 1h --shell --reason a\u202eb", 2, "control char"),
        (f"request web-1 {TO} --break-glass", 1, "No rule lets alice take access to web-1"),
        ("request --extend G-9 --for 1h", 1, "There is no grant G-9 of yours"),
        ("request --extend R-1 --for 1h", 2, "is not an id"),
        ("request web-1 --extend G-1 --for 1h", 2, "only --for and --reason"),
        ("request --extend G-1 --login root --for 1h", 2, "only --for and --reason"),
        (f"request web-1 {TO} --frob", 0, ""),
        ("request web-1 --frob", 2, "No such option '--frob'"),
        ("cancel R-9", 1, "There is no request R-9"),
        ("cancel nine", 2, "is not an id"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    alice: Remote, line: str, status: int, sentence: str
) -> None:
    """Printable, on stderr, with the status that says whose mistake it is."""
    said = alice.typed(line, status)
    if status:
        assert (said.out, said.err.count("\n")) == ("", 1), said
        assert said.err.startswith("ssh bastion: ")
    assert sentence in said.err
    assert said.err.replace("\n", "").isprintable()


def test_unknown_and_forbidden_hosts_sound_alike(alice: Remote, bastion: Services) -> None:
    """Nobody learns the inventory by asking."""
    forbidden = Remote(bastion, "alice").typed("request olga-1 " + TO, status=1).err
    unknown = alice.typed("request nowhere " + TO, status=1).err
    assert forbidden.replace("olga-1", "nowhere") == unknown
    zoe = Remote(bastion, "zoe")
    hosts = [each["name"] for each in zoe("hosts", "--json").json]
    assert hosts == ["db-1", "web-1"]


def test_a_terminal_is_asked_for_what_is_missing(alice: Remote) -> None:
    """One question for each thing, again where the answer can't be taken; the ticket by rule."""
    answers = ["wbe-1", "web-1", "deploy", "", "2h", "it's full"]
    said = alice.typed("request", terminal=True, answers=answers)
    assert "wbe-1 is none that you may ask for (ssh bastion hosts). Do you mean web-1?" in said.err
    assert said.out.endswith("R-1\n")
    assert "As whom there?" in said.out
    answers = ["deploy", "uptime -p", "later", "2h", "\x1b]0;x", "full"]
    said = alice.typed("request web-1", terminal=True, answers=answers)
    assert "is not a duration" in said.err
    assert "control characters" in said.err
    command = alice("status", "--json").json[0]
    assert (command["allows"]["commands"], command["reason"]) == (["uptime -p"], "full")
    said = alice.typed(f"request db-1 {TO}", terminal=True, answers=["OPS-7"])
    assert "Which ticket?" in said.out
    assert alice("status", "--json").json[0]["ticket"] == "OPS-7"
    said = alice.typed("request --extend G-1", terminal=True, answers=["1h"], status=None)
    assert "How much longer" in said.out


@pytest.mark.parametrize("answers", [[], ["web-1", "deploy"], ["é"] * 9])
def test_whoever_gives_up_has_asked_for_nothing(alice: Remote, answers: list[str]) -> None:
    """By ctrl-c or ctrl-d, or by answers that can't be taken."""
    said = alice.typed("request", 130, terminal=True, answers=answers)
    assert said.err.endswith("Nothing was asked for.\n")
    assert [each["id"] for each in alice("status", "--json").json] == ["G-1"]


def test_what_rules_give_at_once_is_given_at_once(bastion: Services) -> None:
    """With what to do next."""
    said = Remote(bastion, "zoe").typed("request web-1 --login root --shell --for 1h --reason up")
    assert said.out == "R-1\n"
    assert "R-1 is granted as G-2: zoe may reach web-1 as root until " in said.err
    assert "ssh bastion cert > ~/.ssh/id_ed25519-cert.pub" in said.err


def test_break_glass_is_given_at_once_and_reviewed(alice: Remote, bastion: Services) -> None:
    """By whom the rule names, and open for review until an auditor has closed it."""
    words = "request db-1 --login root --shell --for 1h --reason production down --break-glass"
    assert "open for review" in alice.typed(words).err
    zoe, rita = Remote(bastion, "zoe"), Remote(bastion, "rita")
    assert "No rule lets zoe" in zoe.typed(words, status=1).err
    assert "ssh bastion review G-2 --comment WORDS" in rita("review").err
    (grant,) = rita("review", "--json").json
    assert (grant["id"], grant["emergency"], grant["request"]) == ("G-2", True, "R-1")
    assert "ssh bastion review" in rita().out
    assert "which and what was found" in rita("review", "G-2", status=2).err
    assert "which and what was found" in rita.typed("review --comment all well", 2).err
    assert "is still open" in rita.typed("review G-2 --comment done", 1).err
    assert Remote(bastion, "bob").typed("revoke G-2 --reason it is up again").status == 0
    closed = rita.typed("review G-2 --comment it's as described --json").json
    assert (closed["reviewed_by"], closed["review_comment"]) == ("rita", "it's as described")
    assert rita("review").err == "No grants to review.\n"
    assert "reviewed by rita already" in rita.typed("review G-2 --comment x", 1).err
    assert "not given by break-glass" in rita.typed("review G-1 --comment x", 1).err
    assert "reviewed by rita at" in rita("show", "G-2").out


def test_more_time_is_asked_for_like_an_access(alice: Remote, bob: Remote) -> None:
    """It waits for those who may approve it, and nobody else's grant can be lengthened."""
    alice.typed(f"request web-1 {TO}")
    bob("approve", "R-1")
    ends_at = alice("status", "--json").json[0]["expires_at"]
    said = alice.typed("request --extend G-2 --for 1h --reason not done yet")
    assert said.err == "R-2 waits for one of @leads: bob or carol.\n"
    assert "longer G-2" in bob("requests").out
    assert "R-2 asks for that already" in alice.typed("request --extend G-2 --for 1h", 1).err
    said = bob("approve", "R-2")
    assert (said.out, said.err.startswith("G-2 ends at ")) == ("G-2\n", True)
    longer = alice("status", "--json").json[0]["expires_at"]
    assert datetime.fromisoformat(longer) - datetime.fromisoformat(ends_at) == timedelta(hours=1)


def test_waiting_tells_each_step_and_ends_with_the_grant(bastion: Services, bob: Remote) -> None:
    """The number first; then who agreed and what is missing; status 0."""
    alice, dave = Remote(bastion, "alice"), Remote(bastion, "dave")
    steps: list[Callable[[], object]] = [
        lambda: None,
        lambda: bob.typed("approve R-1 --for 1h --comment one hour's enough"),
        lambda: None,
        lambda: dave("approve", "R-1"),
    ]
    said = alice.typed(f"request db-1 {TO} --ticket OPS-1 --wait", meanwhile=steps)
    assert said.out == "R-1\n"
    assert [line.partition(" until ")[0] for line in said.err.splitlines()] == [
        "R-1 waits for one of @leads and one of @security: bob, carol or dave.",
        "bob has agreed for 1h: one hour's enough.",
        "R-1 waits for one of @security: dave.",
        "dave has agreed.",
        "R-1 is granted as G-2: alice may reach db-1 as deploy",
        "Fetch a certificate: ssh bastion cert > ~/.ssh/id_ed25519-cert.pub",
    ]


def test_waiting_in_vain_ends_with_1(alice: Remote, bob: Remote) -> None:
    """Denied, or withdrawn from elsewhere; as JSON it is one document, at the end."""
    denied = alice.typed(
        f"request web-1 {TO} --wait --json",
        1,
        meanwhile=[lambda: bob.typed("deny R-1 --reason not before the release")],
    )
    assert (denied.json["state"], denied.json["comment"]) == ("denied", "not before the release")
    assert "R-1 was denied by bob: not before the release.\n" in denied.err
    gone = alice.typed(f"request web-1 {TO} --wait", 1, meanwhile=[lambda: alice("cancel", "R-2")])
    assert gone.err.endswith("R-2 was withdrawn by alice.\n")


class Wall:
    """A clock on the wall that can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """Ahead of the machine's."""
        return datetime.now(UTC) + self.ahead

    def forward(self, step: timedelta) -> None:
        """Time flies."""
        self.ahead += step


def test_waiting_ends_when_nobody_decides(bastion: Services) -> None:
    """After the request's lifetime; at a terminal there is a line each minute until then."""
    wall = Wall()
    alice = Remote(replace(bastion, clock=Clock(wall.now)), "alice")
    minute, day = timedelta(minutes=1), timedelta(days=1)
    steps = [lambda: wall.forward(minute), lambda: wall.forward(minute), lambda: wall.forward(day)]
    said = alice.typed(f"request web-1 {TO} --wait", 1, terminal=True, meanwhile=steps)
    assert "R-1 still waits, for 1m by now.\nR-1 still waits, for 2m by now.\n" in said.err
    assert said.err.endswith("R-1 has gone stale, as nobody decided in time: ask anew.\n")
    quiet = [lambda: wall.forward(minute), lambda: wall.forward(day)]
    assert "still waits" not in alice.typed(f"request web-1 {TO} --wait", 1, meanwhile=quiet).err


def test_ctrl_c_ends_the_waiting_and_not_the_request(alice: Remote) -> None:
    """Which is said, with how to withdraw it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    said = alice.typed(f"request web-1 {TO} --wait", 130, terminal=True, meanwhile=[interrupt])
    assert "R-1 goes on waiting" in said.err
    assert "ssh bastion cancel R-1" in said.err
    assert alice("status", "--json").json[0]["state"] == "pending"


def test_what_came_to_nothing_is_told_of_for_a_while(alice: Remote, bob: Remote) -> None:
    """In the status, with the reason; a withdrawn one as well."""
    alice.typed(f"request web-1 {TO}")
    alice.typed(f"request web-1 {TO}")
    bob.typed("deny R-1 --reason too long")
    assert alice("cancel", "R-2").err == "R-2 was withdrawn by alice.\n"
    told = alice("status").out
    assert "by bob: too long" in told
    assert "cancelled" in told
    assert "denied" not in alice().out
    rows = alice("status", "--csv").out.splitlines()
    assert [row.partition(",")[0] for row in rows] == ["id", "R-2", "R-1", "G-1"]


def test_hosts_tells_what_may_be_asked_for(bastion: Services) -> None:
    """Those that one may reach first, then by the rules, as one would ask for them."""
    alice, bob = Remote(bastion, "alice"), Remote(bastion, "bob")
    told = alice("hosts").out
    assert "ssh -J bastion deploy@web-1" in told
    assert "ssh bastion request web-1 --login deploy --shell --for 8h --reason WORDS" in told
    assert "request db-1 --login root --shell --for 1h --reason WORDS --break-glass" in told
    assert "request db-1 --login deploy --shell --for 4h --reason WORDS --ticket ID" in told
    found = alice("hosts", "--json").json
    assert [(each["name"], each["granted"]) for each in found] == [
        ("web-1", True),
        ("db-1", False),
        ("db-1", False),
        ("web-1", False),
    ]
    assert found[1]["approvals"] == "one of @leads and one of @security"
    assert bob("hosts", "--json").json == []


def test_hosts_tells_of_forwards_too(bastion: Services) -> None:
    """Where a rule gives nothing else, that is what one would ask for."""
    rules = bastion.home.policy.read_text()
    only = 'allow = ["forward"]\nforwards = ["db:5432"]'
    bastion.home.policy.write_text(rules.replace('allow = ["shell", "command"]', only, 1))
    told = Remote(bastion, "alice")("hosts").out
    line = "ssh bastion request web-1 --login deploy --forward db:5432 --for 8h --reason WORDS"
    assert line in told.replace("\n", " ")


@pytest.mark.parametrize(
    "template",
    [
        *[
            "uptime",
            "systemctl restart {nginx,php-fpm}",
            "grep -c 'a b' /etc/passwd",
            "echo '{a,b}'",
        ],
        *[
            "psql -X -c 'select 1' {word}",
            "x --u={re:[a-z]{1,9}} {words}",
            "x 'it'\"'\"'s' {'a b',c}",
        ],
        *["{tty} top", "x {re:\\d+}", "{tty} x 'a b'"],
    ],
)
def test_what_hosts_shows_can_be_typed(bastion: Services, template: str) -> None:
    """One's own shell takes quotes, ssh joins what it left: what arrives is what a rule names."""
    rules = bastion.home.policy.read_text()
    only = f'allow = ["command"]\ncommands = [{json.dumps(template)}]'
    bastion.home.policy.write_text(rules.replace('allow = ["shell", "command"]', only, 1))
    alice = Remote(bastion, "alice")
    (row,) = [
        row
        for row in csv.DictReader(alice("hosts", "--csv").out.splitlines())
        if row["name"] == "web-1" and "request" in row["try"]
    ]
    program, host, verb, *words = shlex.split(row["try"])
    assert (program, host, verb) == ("ssh", "bastion", "request")
    asked = alice.typed(" ".join([verb, "--json", *words])).json
    assert asked["allows"]["commands"] == [template]
