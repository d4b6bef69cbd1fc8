"""What becomes a notice, for whom, and in which words."""

import dataclasses
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.events import What
from bastion.grants import Allows
from bastion.inventory import Role
from bastion.notices import (
    Audience,
    Group,
    Message,
    Notice,
    Subscription,
    drafts,
    listed,
    plain,
    quoted,
)
from bastion.particulars import Awaited
from bastion.requests import Approval, Standing
from bastion.templates import parse_template
from bastion.tidings import TOLD, Facts, of_event
from tests.bastion.tidings import event, person, request
from tests.bastion.worlds import HOUR, NOW, grant, selectors


def told(notice: Notice | None) -> dict[str, str]:
    """What a notice says, by the names of its fields."""
    assert notice is not None
    return dict(notice.fields)


def test_a_request_is_told_whole_with_the_lines_that_decide_it() -> None:
    """Who, where, as whom, what, how long, why, ticket, whom it waits for."""
    asked = request(
        ticket="OPS-7", asked_by="carol", allows=Allows(commands=(parse_template("id"),))
    )
    awaited = Awaited(("one of @leads", "one of @security"), ("bob", "olga"))
    facts = Facts({12: asked}, awaited={12: awaited})
    notice = of_event(event(What.REQUEST_MADE, request=12), facts)
    assert notice is not None
    assert (notice.type, notice.group, notice.key) == ("request.made", Group.REQUESTS, "E-1")
    assert notice.title == "R-12: alice asks for prod-host as deploy for 2h"
    assert notice.fields == (
        ("who", "alice"),
        ("asked by", "carol"),
        ("where", "prod-host"),
        ("as", "deploy"),
        ("what", "id"),
        ("how long", "2h"),
        ("from", "when it is approved"),
        ("why", "disk full"),
        ("ticket", "OPS-7"),
        ("asked from", "192.0.2.7"),
        ("waits for", "one of @leads, one of @security"),
    )
    assert notice.lines == ("ssh bastion approve R-12", "ssh bastion deny R-12 --reason WORDS")
    assert notice.audience == Audience(frozenset({"bob", "olga"}))


def test_a_request_that_was_decided_meanwhile_says_no_line_that_decides_it() -> None:
    """It is told late, after a restart: the lines would only lead to a refusal."""
    later = request(decision=Standing.DENIED, decided_at=NOW + HOUR, decided_by="bob")
    notice = of_event(event(What.REQUEST_MADE, request=12), Facts({12: later}))
    assert notice is not None
    assert notice.lines == ()


def test_what_was_given_as_it_was_asked_for_is_told_once() -> None:
    """By the grant, and not by the request or the only approval as well."""
    given = request(decision=Standing.APPROVED, decided_at=NOW, decided_by="alice", grant=7)
    facts = Facts({12: given}, {7: grant()})
    assert of_event(event(What.REQUEST_MADE, request=12), facts) is None
    decided = dataclasses.replace(
        given, decided_by="bob", decided_at=NOW + HOUR, approvals=(Approval("bob", NOW + HOUR),)
    )
    approved = event(What.REQUEST_APPROVED, actor="bob", request=12)
    assert of_event(approved, Facts({12: decided}, {7: grant()})) is None
    notice = of_event(event(What.GRANT_GIVEN, request=12, grant=7), facts)
    assert notice is not None
    assert notice.title == "G-7: alice may reach prod-host as deploy until 2026-11-23 13:00 UTC"
    assert notice.group is Group.DECISIONS
    assert notice.audience == Audience(frozenset({"bob"}), requester="alice")


def test_one_yes_of_several_says_whom_it_still_waits_for() -> None:
    """The requester hears it, and those who may agree next."""
    asked = request(approvals=(Approval("bob", NOW),))
    facts = Facts({12: asked}, awaited={12: Awaited(("one of @security",), ("olga",))})
    happened = event(What.REQUEST_APPROVED, actor="bob", request=12, why="go ahead")
    notice = of_event(happened, facts)
    assert notice is not None
    assert notice.title == "R-12: bob agreed; it waits for others"
    assert told(notice)["waits for"] == "one of @security"
    assert told(notice)["comment"] == "go ahead"
    assert notice.lines[0] == "ssh bastion approve R-12"
    assert notice.audience == Audience(frozenset({"olga"}), requester="alice")


@pytest.mark.parametrize(
    ("what", "title"),
    [
        (What.REQUEST_DENIED, "R-12 of alice was denied by bob"),
        (What.REQUEST_CANCELLED, "R-12 of alice was withdrawn by bob"),
    ],
)
def test_a_no_is_told_to_the_requester(what: What, title: str) -> None:
    """With the reason, where there is one."""
    notice = of_event(event(what, request=12, why="not today"), Facts({12: request()}))
    assert notice is not None
    assert notice.title == title
    assert notice.audience.requester == "alice"
    assert told(notice).get("because") == ("not today" if "denied" in title else None)


def test_break_glass_is_loud_and_for_everybody() -> None:
    """Every channel gets it, and everybody who looks after the bastion."""
    taken = dataclasses.replace(grant(), emergency=True)
    notice = of_event(event(What.GRANT_GIVEN, grant=7), Facts(grants={7: taken}))
    assert notice is not None
    assert notice.title == "BREAK-GLASS: alice took access to prod-host as deploy (G-7)"
    assert (notice.group, notice.urgent) == (Group.EMERGENCIES, True)
    assert notice.lines[0] == "ssh bastion review G-7"
    for deaf in (
        Subscription("a", frozenset()),
        Subscription("b", frozenset({Group.FAILURES}), escalate=True),
    ):
        assert deaf.wants(notice)
    people = [person("olga", Role.AUDITOR), person("bob", Role.APPROVER), person("eve")]
    mail = Subscription("mail", to=("approvers",))
    assert mail.receivers(notice, people, NOW) == ("olga@example.org", "bob@example.org")


def test_an_override_is_loud_too() -> None:
    """It went past the rules."""
    forced = dataclasses.replace(grant(), override=True)
    given = event(What.GRANT_GIVEN, actor="os:root", grant=7)
    notice = of_event(given, Facts(grants={7: forced}))
    assert notice is not None
    assert notice.title == "OVERRIDE: os:root gave alice G-7, past the rules"
    assert notice.urgent


@pytest.mark.parametrize(
    ("what", "title", "group"),
    [
        (
            What.GRANT_EXTENDED,
            "G-7 of alice now lasts until 2026-11-23 13:00 UTC",
            Group.DECISIONS,
        ),
        (What.GRANT_REVOKED, "G-7 of alice was revoked", Group.ENDS),
        (What.GRANT_REVIEWED, "G-7 of alice was reviewed", Group.EMERGENCIES),
    ],
)
def test_what_becomes_of_a_grant(what: What, title: str, group: Group) -> None:
    """Extended, revoked, reviewed: by whom."""
    notice = of_event(event(what, grant=7, why="laptop lost"), Facts(grants={7: grant()}))
    assert notice is not None
    assert (notice.title, notice.group) == (title, group)
    assert told(notice)["by"] == "bob"


def test_a_new_approver_is_news() -> None:
    """Whoever can make a puppet that approves is seen doing it."""
    details = {
        "roles": ["approver", "contractor"],
        "keys": ["SHA256:abc"],
        "email": None,
        "after": [4711, "the hash of another chain"],
    }
    added = event(What.USER_ADDED, user="puppet", details=details)
    notice = of_event(added, Facts())
    assert notice is not None
    assert notice.title == "The account puppet was added by bob (approver)"
    assert notice.group is Group.ADMINISTRATION
    assert told(notice)["keys"] == "SHA256:abc"
    assert not {"email", "after"} & set(told(notice))


@pytest.mark.parametrize("what", sorted(TOLD))
def test_every_event_that_is_told_can_be_worded_with_and_without_facts(what: What) -> None:
    """A row that is gone makes a shorter notice, or none; never an error."""
    happened = event(
        what, request=12, grant=7, session=31, connection=3, user="alice", host="web", why="x"
    )
    of_event(happened, Facts())
    notice = of_event(happened, Facts({12: request()}, {7: grant()}))
    assert notice is not None
    assert notice.title
    body = notice.body("ops")
    read = Message.read(orjson.loads(orjson.dumps(body)))
    assert read.title == notice.title
    assert read.fields == notice.fields
    assert read.at == NOW


@pytest.mark.parametrize(
    "what",
    [What.SIGNIN_FAILED, What.CONNECTION_OPENED, What.DOOR_REFUSED, What.CERTIFICATE_SIGNED],
)
def test_most_events_are_told_to_nobody(what: What) -> None:
    """Doors and connections are for the log."""
    assert what not in TOLD
    assert of_event(event(what), Facts()) is None


@given(st.text(max_size=3000))
def test_a_field_is_one_printable_line(text: str) -> None:
    """No control, no line end, no mark that turns the direction, no unpaired surrogate."""
    line = plain(text)
    assert len(line) <= 1500
    assert line.isprintable()
    line.encode()
    assert plain(line) == line


def test_a_link_that_was_typed_is_not_one_any_more() -> None:
    """Mail and chat programs make links of what looks like one."""
    asked = request(reason="see https://evil.example/login", ticket="http://t/1")
    notice = of_event(event(What.REQUEST_MADE, request=12), Facts({12: asked}))
    assert told(notice)["why"] == "see https[:]//evil.example/login"
    assert "://" not in orjson.dumps(notice.fields if notice else ()).decode()
    assert quoted("a\nb\x1b[31m\u202ec") == "a b [31m c"


def test_long_lists_are_cut_and_say_so() -> None:
    """Four hundred hosts are no message."""
    assert listed(f"web-{n}" for n in range(400)).endswith("web-11 and 388 more")
    commands = Allows(commands=tuple(parse_template(f"id{n}") for n in range(7)))
    asked = request(hosts=selectors(*(f"h{n}" for n in range(400))), allows=commands)
    notice = of_event(event(What.REQUEST_MADE, request=12), Facts({12: asked}))
    assert told(notice)["what"] == "2 more than: id0; id1; id2; id3; id4"
    assert notice is not None
    assert len(notice.title) <= 200


# Who wants to hear it


def made(group: Group = Group.REQUESTS, *, unanswered: bool = False) -> Notice:
    """A notice of a group."""
    audience = Audience(frozenset({"bob", "olga"}), requester="alice")
    return Notice("E-1", "x", group, NOW, "t", (), audience=audience, unanswered=unanswered)


def test_a_channel_hears_what_it_wants() -> None:
    """By groups; one that escalates hears only what nobody has answered."""
    some = Subscription("ops", frozenset({Group.REQUESTS}))
    assert some.wants(made())
    assert not some.wants(made(Group.ENDS))
    escalating = Subscription("pager", escalate=True)
    assert not escalating.wants(made())
    assert escalating.wants(made(unanswered=True))


def test_mail_goes_to_each_address_once_and_to_no_closed_account() -> None:
    """Addresses as they stand, approvers and the requester by their accounts."""
    people = [
        person("alice"),
        person("bob", Role.APPROVER),
        dataclasses.replace(person("olga", Role.APPROVER), disabled_at=NOW),
        dataclasses.replace(person("eve", Role.APPROVER), email=None),
    ]
    mail = Subscription("m", to=("ops@example.org", "approvers", "requester", "bob@example.org"))
    assert mail.receivers(made(), people, NOW) == (
        "ops@example.org",
        "bob@example.org",
        "alice@example.org",
    )
    kept = drafts(made(), [mail, Subscription("ops")], people, NOW)
    assert [draft.channel for draft in kept] == ["m", "m", "m", "ops"]
    assert len({(draft.channel, draft.key) for draft in kept}) == 4
    assert len({draft.body["id"] for draft in kept}) == 4
    assert all(draft.body["data"] == {} for draft in kept if draft.channel == "m")


def test_the_id_of_a_message_is_its_own_and_stays() -> None:
    """The same for the same notice; another for another event, channel, or chain."""
    notice = of_event(event(What.CLOCK_RESET), Facts())
    other = of_event(event(What.CLOCK_RESET, actor="eve"), Facts())
    assert notice is not None
    assert other is not None
    assert notice.body("ops")["id"] == notice.body("ops")["id"]
    ids = {notice.body("ops")["id"], notice.body("b")["id"], other.body("ops")["id"]}
    assert len(ids) == 3


def test_nothing_secret_is_told() -> None:
    """Of a key there is the fingerprint; of a certificate its serial."""
    details = {"key": "SHA256:abc", "algorithm": "ssh-ed25519"}
    notice = of_event(event(What.KEY_ENROLLED, user="alice", details=details), Facts())
    assert notice is not None
    whole = orjson.dumps(notice.body("ops")).decode()
    assert "SHA256:abc" in whole
    assert "AAAA" not in whole


def test_how_long_is_told_as_it_is_written() -> None:
    """In the form that a person would type."""
    asked = request(duration=timedelta(minutes=90), extends=7)
    notice = of_event(event(What.REQUEST_MADE, request=12), Facts({12: asked}))
    assert notice is not None
    assert notice.title == "R-12: alice asks to extend G-7 for 1h30m"
    assert told(notice)["extends"] == "G-7"


def test_a_session_that_waits_is_told_to_those_who_may_watch() -> None:
    """With the line that does it; of many in one minute by one grant, one is told."""
    facts = Facts(grants={7: grant(7)})
    about = {"user": "alice", "grant": 7, "host": "prod-host"}
    waiting = of_event(event(What.SESSION_WAITING, 1, session=31, **about), facts)
    another = of_event(event(What.SESSION_WAITING, 2, session=32, **about), facts)
    frozen = of_event(event(What.SESSION_FROZEN, 3, session=31, **about), facts)
    assert waiting is not None
    assert another is not None
    assert frozen is not None
    assert waiting.title == "S-31 of alice waits for somebody who watches"
    assert waiting.lines == ("ssh bastion watch S-31", "ssh bastion sessions --live")
    assert waiting.audience == Audience(roles=frozenset({Role.AUDITOR, Role.ADMIN}))
    assert (waiting.group, told(waiting)["reason"]) == (Group.REQUESTS, "to see")
    assert another.key == waiting.key
    assert frozen.key != waiting.key
    assert frozen.title == "Nobody watches S-31 of alice any more: it waits"
