"""Sentences: every kind of event has one, in plain English, safe to print."""

from dataclasses import replace

import pytest
from hypothesis import given

from bastion import happenings
from bastion.actor import Actor
from bastion.events import Details, Event, Happened, What
from bastion.sentences import LONGEST, sentence
from tests.bastion.test_events import CHAIN, HAPPENED
from tests.bastion.worlds import NOW, grant

OLGA = Actor("olga", "192.0.2.9")


@given(HAPPENED)
def test_every_event_has_one_line(happened: Happened) -> None:
    """Whatever strangers have put into it: one printable line that ends somewhere."""
    said = sentence(happened)
    assert said.isprintable()
    assert 0 < len(said) < 20 * LONGEST


@pytest.mark.parametrize("what", What)
def test_a_kind_says_what_it_can_of_nothing(what: What) -> None:
    """Without any detail it is still a sentence."""
    said = sentence(Happened(what, "alice"))
    assert "  " not in said
    assert said[-1] not in " :,"


def happened(what: What, **columns: object) -> Happened:
    """By alice."""
    return replace(Happened(what, "alice"), **columns)  # type: ignore[arg-type]


ASKED: dict[str, Details] = {"hosts": ["web-1"], "logins": ["deploy"], "shell": True}

SAID = [
    (
        happened(
            What.REQUEST_MADE,
            user="alice",
            request=12,
            details={**ASKED, "seconds": 7200},
            why="disk",
        ),
        "alice asked for a shell on web-1 as deploy for 2h, R-12: disk",
    ),
    (
        happened(What.REQUEST_MADE, user="alice", request=13, grant=7, details={"seconds": 3600}),
        "alice asked to extend G-7 for 1h, R-13",
    ),
    (
        happened(What.REQUEST_APPROVED, user="carol", request=12, why="go on"),
        "alice approved R-12 of carol: go on",
    ),
    (
        happened(What.REQUEST_DENIED, user="carol", request=12, why="not today"),
        "alice denied R-12 of carol: not today",
    ),
    (
        happened(
            What.CERTIFICATE_SIGNED,
            user="alice",
            host="web-1",
            login="deploy",
            connection=31,
            grant=7,
            details={"kind": "target", "serial": 5},
        ),
        "certificate 5 was signed to let alice log in at web-1 as deploy (G-7 C-31)",
    ),
    (
        happened(What.SIGNIN_FAILED, source="192.0.2.7", details={"times": 12}),
        "12 sign-ins from 192.0.2.7 failed",
    ),
    (
        happened(
            What.CONNECTION_REFUSED,
            source="192.0.2.7",
            user="alice",
            host="web-1",
            connection=31,
            why="no-grant",
        ),
        "alice was not let through to web-1 from 192.0.2.7 (C-31): no-grant",
    ),
    (
        happened(
            What.DOOR_REFUSED,
            user="alice",
            host="web-1",
            connection=31,
            why="mode",
            details={"what": "shell"},
        ),
        "alice was refused shell at web-1 (C-31): mode",
    ),
    (
        happened(
            What.SESSION_STARTED,
            user="alice",
            host="web-1",
            login="deploy",
            session=3,
            connection=31,
            grant=7,
            details={"kind": "exec", "command": "uptime"},
        ),
        "alice began S-3 at web-1 as deploy: exec of uptime (G-7 C-31)",
    ),
    (
        happened(
            What.SESSION_ENDED,
            user="alice",
            host="web-1",
            login="deploy",
            session=3,
            why="closed",
            details={"kind": "exec", "exit_status": 1},
        ),
        "S-3 of alice at web-1 as deploy ended: closed, exit status 1",
    ),
    (
        happened(What.RECORDING_LOOKED_AT, user="carol", session=3, details={"how": "replay"}),
        "alice looked at S-3 of carol (replay)",
    ),
    (
        happened(What.RECORDING_SEARCHED, details={"text": "DROP TABLE", "hits": 1}),
        "alice searched recordings for DROP TABLE: 1 line",
    ),
    (
        happened(What.RULES_CHANGED, details={"version": "ab" * 32}),
        "alice put rules in force: version abababababab",
    ),
    (
        happened(What.USER_ADDED, user="carol", details={"roles": ["approver", "contractor"]}),
        "alice added the user carol (approver, contractor)",
    ),
    (
        happened(What.HOST_ADDED, host="web-1", details={"address": "192.0.2.1:22"}),
        "alice added the host web-1 (192.0.2.1:22)",
    ),
    (
        happened(What.EVENTS_LOST, details={"count": 3, "first": "2026-11-23T12:00:00+00:00"}),
        "3 events could not be kept since 2026-11-23 12:00 UTC; the service's log has them",
    ),
]


@pytest.mark.parametrize(("told", "said"), SAID, ids=[said[:24] for _, said in SAID])
def test_it_reads_as_people_speak(told: Happened, said: str) -> None:
    """Who, what, about whom, by which ids, and why."""
    assert sentence(told) == said


def test_a_grant_says_what_it_allows() -> None:
    """As the store tells of it; an override and an emergency are said."""
    told = happenings.of_grant(OLGA, What.GRANT_GIVEN, grant())
    given_ = "olga gave alice G-7, a shell on prod-host as deploy until 2026-11-23 13:00 UTC"
    assert sentence(told) == f"{given_}: to see"
    past = happenings.of_grant(OLGA, What.GRANT_GIVEN, replace(grant(), override=True))
    assert sentence(past) == f"{given_}, past the rules: to see"
    loud = happenings.of_grant(OLGA, What.GRANT_GIVEN, replace(grant(), emergency=True))
    assert sentence(loud).startswith("olga broke the glass: G-7, a shell on prod-host as deploy")
    ended = happenings.of_grant(OLGA, What.GRANT_REVOKED, grant(), "left the firm")
    assert sentence(ended) == "olga revoked G-7 of alice: left the firm"


def test_an_event_is_said_as_what_happened() -> None:
    """With its place or without."""
    told = Happened(What.SERVICE_STARTED, "bastion")
    assert sentence(Event(1, CHAIN, 1, NOW, told, "", "")) == "the bastion began to serve"


def test_what_a_terminal_would_act_on_is_shown() -> None:
    """An escape sequence in a command line is letters here."""
    told = happened(What.DOOR_REFUSED, host="web-1", details={"what": "\x1b]0;hello\x07\u202e"})
    assert sentence(told) == "alice was refused \\x1b]0;hello\\x07\\u202e at web-1"
