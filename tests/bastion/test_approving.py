"""Asking, approving, denying, extending: whole stories on a real store, by real rules."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import cast

import pytest

from bastion.access import Access
from bastion.actor import Actor
from bastion.authority import Authority
from bastion.errors import BadInput, Conflict, NotFound, Refused, Unavailable
from bastion.events import What
from bastion.grants import Allows, State
from bastion.inventory import Role
from bastion.people import People
from bastion.requests import Request, Standing
from bastion.rulebook import Rulebook
from bastion.store.grants import Wanted
from bastion.store.inbox import Decided, Inbox, Judge
from bastion.store.requests import MOST_PENDING
from bastion.templates import parse_template
from bastion.windows import parse_window
from tests.bastion.stories import (
    LIFETIME,
    ONE_LEAD,
    PEOPLE,
    TWO_LEADS,
    Story,
    populated,
    ruled,
    story,
    wish,
)
from tests.bastion.values import a_key
from tests.bastion.worlds import HOUR, NOW, ROOT, SECOND, grant, host, selectors

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everybody, to be copied."""
    return populated(tmp_path_factory.mktemp("template"))


@pytest.fixture
def desk(template: Path, tmp_path: Path) -> Iterator[Story]:
    """Everybody, with a rule that wants one of @leads."""
    with story(template, tmp_path) as opened:
        yield opened


# One asks, another approves


def test_one_asks_and_another_approves(desk: Story) -> None:
    """What was asked for is what is granted, from the approval on, in the rule's name."""
    asked = desk.ask()
    assert str(asked.request) == "R-1"
    assert (asked.grant, asked.waits_for) == (None, ("one of @leads",))
    assert asked.people == ("bob", "carol", "dave")
    assert desk.grants == []
    desk.now += HOUR
    answer = desk.approve("bob", comment="go ahead")
    grant = answer.grant
    assert grant is not None
    assert grant == desk.store.grant(1)
    assert (grant.user, grant.hosts, grant.logins) == (
        "alice",
        selectors("web-1"),
        frozenset({"deploy"}),
    )
    assert (grant.starts_at, grant.ends_at) == (NOW + HOUR, NOW + 3 * HOUR)
    assert (grant.granted_by, grant.approved_by) == ("bob", ("bob",))
    assert (grant.request, grant.rule, grant.policy) == (1, "rule 1", desk.rules.version)
    request = desk.inbox.request(1)
    assert request == answer.request
    assert request is not None
    assert (request.decision, request.decided_by) == (Standing.APPROVED, "bob")
    assert (request.grant, request.approvals[0].comment) == (1, "go ahead")
    assert request.approvals[0].fingerprint == "SHA256:bob-1"


def test_what_needs_nobody_is_given_at_once(desk: Story) -> None:
    """On call: a request and a grant in one step, and nobody has approved."""
    desk.rules = ruled("automatic = true")
    answer = desk.ask()
    assert answer.grant is not None
    assert answer.grant.approved_by == ()
    assert answer.request.decision is Standing.APPROVED
    assert answer.request.grant == answer.grant.id
    assert desk.told()[-2:] == [What.REQUEST_MADE, What.GRANT_GIVEN]


def test_several_have_to_agree(desk: Story) -> None:
    """Two of three, and the second consent gives it; the waiting one says who may."""
    desk.rules = ruled(TWO_LEADS)
    assert desk.ask().waits_for == ("2 of @leads",)
    first = desk.approve("bob")
    assert first.grant is None
    assert first.request.approvers == ("bob",)
    assert (first.waits_for, first.people) == (("one of @leads",), ("carol", "dave"))
    second = desk.approve("dave")
    assert second.grant is not None
    assert second.grant.approved_by == ("bob", "dave")
    assert len(desk.grants) == 1


def test_each_group_has_to_agree(desk: Story) -> None:
    """One of each; somebody who is in both stands for one of them only."""
    desk.change("bob", groups=frozenset({"leads", "security"}))
    desk.rules = ruled('approvals = [{ from = ["@leads"] }, { from = ["@security"] }]')
    desk.ask()
    assert desk.approve("bob").grant is None
    assert set(desk.waits_for()[1]) == {"carol", "dave", "erin"}
    assert desk.approve("carol").grant is not None


def test_the_owner_of_the_host_approves(desk: Story) -> None:
    """Whom the label of each host that is meant names, and nobody else."""
    desk.rules = ruled('approvals = [{ from = ["label:owner"] }]')
    desk.store.add_host(host("web-3", labels={("owner", "bob")}), ROOT, NOW)
    asked = desk.ask()
    assert (asked.waits_for, asked.people) == (("the host's owner",), ("carol",))
    with pytest.raises(Refused, match=r"not for bob to decide: it takes the host's owner\."):
        desk.approve("bob")
    assert desk.approve("carol").grant is not None
    # Two hosts of two owners: nobody owns both.
    assert desk.ask(wish(hosts=selectors("web-1", "web-3"))).people == ()
    for name in ("bob", "carol"):
        with pytest.raises(Refused, match="not for"):
            desk.approve(name, 2)


# Who may approve, and how


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("alice", "Nobody approves what is for herself: somebody else has to."),
        ("erin", "This is not for erin to decide: it takes one of @leads."),
        ("nobody", "nobody is nobody that the bastion knows, so it can't approve: map the acco"),
    ],
)
def test_who_may_not_approve(desk: Story, name: str, said: str) -> None:
    """Oneself, whoever the rule does not name, whoever does not exist: nothing is written."""
    desk.change("alice", roles=frozenset(Role), groups=frozenset({"contractors", "leads"}))
    desk.ask()
    with pytest.raises(Refused, match=said):
        desk.approve(name)
    assert desk.standing() is Standing.PENDING
    assert desk.inbox.request(1).approvals == ()  # type: ignore[union-attr]


def test_approving_ones_own_with_another_key(desk: Story) -> None:
    """A second key does not make a second person, in a token or not."""
    desk.change("alice", roles=frozenset(Role), groups=frozenset({"contractors", "leads"}))
    desk.ask(key="alice-1")
    with pytest.raises(Refused, match="Nobody approves what is for herself"):
        desk.approving.approve(desk.by("alice", key="alice-sk"), 1, desk.now)


def test_approving_takes_the_role(desk: Story) -> None:
    """The group alone is not enough."""
    desk.change("bob", roles=frozenset({Role.CONTRACTOR, Role.ADMIN, Role.AUDITOR}))
    assert desk.ask().people == ("carol", "dave")
    with pytest.raises(Refused, match="bob is no approver"):
        desk.approve("bob")


def test_whoever_vouches_for_her_may_not_approve(desk: Story) -> None:
    """The sponsor."""
    desk.change("alice", sponsor="bob")
    assert "bob" not in desk.ask().people
    with pytest.raises(Refused, match="bob vouches for alice, so somebody else"):
        desk.approve("bob")


def test_whoever_enrolled_a_key_of_hers_may_not_approve(desk: Story) -> None:
    """Signed in, or by an account of the machine; and not when that key is taken away again."""
    desk.store.enrol_key("alice", a_key("alice-2", hardware=False), Actor("bob"), NOW)
    desk.store.enrol_key("alice", a_key("alice-3", hardware=False), Actor("os:carol"), NOW)
    desk.accounts = {"carol": "carol"}
    assert desk.ask().people == ("dave",)
    for name in ("bob", "carol"):
        with pytest.raises(Refused, match=f"{name} let alice in here"):
            desk.approve(name)
    desk.store.remove_key("alice", "SHA256:alice-2", ROOT, NOW)
    assert desk.waits_for()[1] == ("dave",)


def test_who_vouched_for_her_when_she_asked_may_not_approve(desk: Story) -> None:
    """A sponsor does not become an approver by being replaced meanwhile."""
    desk.change("alice", sponsor="bob")
    desk.ask()
    desk.change("alice", sponsor=None)
    with pytest.raises(Refused, match="bob vouched for alice when it was asked"):
        desk.approve("bob")


def test_a_consent_is_for_the_machine_that_had_the_name(desk: Story) -> None:
    """Another one takes it: who agreed to the first has to agree to the second."""
    desk.rules = ruled('approvals = [{ from = ["@leads"], count = 2 }]')
    desk.ask()
    desk.approve("bob")
    web = desk.store.host("web-1")
    assert web is not None
    desk.store.replace_host(replace(web, address="10.9.9.9"), ROOT, NOW)
    assert desk.approve("carol").grant is None
    assert desk.approve("bob").grant is not None


def test_whom_she_vouches_for_may_not_approve(desk: Story) -> None:
    """An approver of her own making is no second person."""
    desk.change("bob", sponsor="alice")
    assert "bob" not in desk.ask().people
    with pytest.raises(Refused, match="alice let bob in here, so somebody else"):
        desk.approve("bob")


def test_whoever_added_her_account_may_not_approve(desk: Story) -> None:
    """`os:root` let everybody in here; whoever that account is mapped to is barred."""
    desk.accounts = {"root": "bob"}
    assert desk.ask().people == ("carol", "dave")
    for actor in (desk.by("bob"), Actor("os:root"), Actor("bob", account="root")):
        with pytest.raises(Refused, match="bob let alice in here"):
            desk.approving.approve(actor, 1, desk.now)


def test_whoever_asked_for_somebody_else_may_not_approve(desk: Story) -> None:
    """Two people have to have a hand in it, whoever it is for."""
    desk.approving.request(desk.by("bob"), wish(), desk.now)
    with pytest.raises(Refused, match="bob asked for it, so somebody else has to approve"):
        desk.approve("bob")
    grant = desk.approve("carol").grant
    assert grant is not None
    assert grant.user == "alice"


def test_an_account_of_the_machine_approves_as_the_user_it_is_mapped_to(desk: Story) -> None:
    """One that is mapped to nobody approves nothing."""
    desk.ask()
    kim = Actor("os:kim")
    with pytest.raises(Refused, match="os:kim is nobody that the bastion knows"):
        desk.approving.approve(kim, 1, desk.now)
    desk.accounts = {"kim": "bob"}
    answer = desk.approving.approve(kim, 1, desk.now)
    assert answer.request.approvers == ("bob",)
    assert answer.grant is not None
    assert answer.grant.granted_by == "bob"
    told = desk.events()[-1].happened
    assert (told.actor, told.account) == ("bob", "kim")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_account_and_key_are_one_person(desk: Story, order: tuple[int, int]) -> None:
    """Two approvals, one on the machine and one over SSH, are still one."""
    desk.rules = ruled(TWO_LEADS)
    desk.accounts = {"kim": "bob"}
    desk.ask()
    actors = (desk.by("bob"), Actor("os:kim"))
    desk.approving.approve(actors[order[0]], 1, desk.now)
    with pytest.raises(Conflict, match="You have approved R-1 already; it takes somebody else"):
        desk.approving.approve(actors[order[1]], 1, desk.now)
    assert desk.grants == []


def test_approving_twice(desk: Story) -> None:
    """With the same key or another one: it takes somebody else."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    for key in ("bob-1", "bob-sk"):
        with pytest.raises(Conflict, match="You have approved R-1 already"):
            desk.approving.approve(desk.by("bob", key=key), 1, desk.now)
    assert len(desk.inbox.request(1).approvals) == 1  # type: ignore[union-attr]


def test_a_rule_may_want_a_hardware_key(desk: Story) -> None:
    """A stolen file does not approve; nor does the machine itself, where nobody signs in."""
    desk.rules = ruled(f'{ONE_LEAD}\napprover_keys = "hardware"')
    desk.ask()
    desk.accounts = {"kim": "bob"}
    for actor in (desk.by("bob"), Actor("os:kim"), Actor("bob", account="kim")):
        with pytest.raises(Refused, match="takes a hardware key: sign in with yours"):
            desk.approving.approve(actor, 1, desk.now)
    assert desk.approving.approve(desk.by("bob", key="bob-sk"), 1, desk.now).grant is not None


def test_a_rule_may_want_a_fresh_sign_in(desk: Story) -> None:
    """To the second; a time that is to come tells of a clock that was set back."""
    desk.rules = ruled(f'{ONE_LEAD}\napprover_login = "2m"')
    desk.ask()
    for ago in (2 * MINUTE + SECOND, DAY, -2 * MINUTE - SECOND):
        with pytest.raises(Refused, match=r"no older than 2m: connect anew \(ssh -o ControlPath"):
            desk.approving.approve(desk.by("bob", ago=ago), 1, desk.now)
    with pytest.raises(Refused, match="no older than 2m"):
        desk.approving.approve(Actor("bob", account="kim"), 1, desk.now)
    assert desk.approving.approve(desk.by("bob", ago=2 * MINUTE), 1, desk.now).grant is not None


# What they agree to


def test_the_shortest_counts(desk: Story) -> None:
    """Whoever says less is heard, also where she is not the last; never more than was asked."""
    desk.rules = ruled('approvals = [{ from = ["@leads"], count = 3 }]')
    desk.ask()
    with pytest.raises(BadInput, match="R-1 asks for 2h: an approval may be shorter, never longer"):
        desk.approve("bob", duration=3 * HOUR)
    with pytest.raises(BadInput, match="for no time at all is none: deny it instead"):
        desk.approve("bob", duration=timedelta())
    desk.approve("bob", duration=2 * HOUR)
    desk.approve("carol", duration=30 * MINUTE)
    grant = desk.approve("dave", duration=HOUR).grant
    assert grant is not None
    assert grant.ends_at - grant.starts_at == 30 * MINUTE
    said = [each.duration for each in desk.inbox.request(1).approvals]  # type: ignore[union-attr]
    assert said == [None, 30 * MINUTE, HOUR]


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\x1b[31mb", "\u202eabc", "x" * 501, "\x00"])
def test_every_text_is_printable_and_bounded(desk: Story, text: str) -> None:
    """Reason, ticket, comment, the reason of a denial and of an extension: nothing is written."""
    desk.rules = ruled(f'{ONE_LEAD}\nticket = ".*"', f"{ONE_LEAD}")
    desk.ask(wish(ticket="OPS-1"))
    last = desk.journal.last()
    for says in (
        lambda: desk.ask(wish(reason=text, ticket="OPS-1")),
        lambda: desk.ask(wish(ticket=text)),
        lambda: desk.approve("bob", comment=text),
        lambda: desk.approving.deny(desk.by("bob"), 1, text, desk.now),
    ):
        with pytest.raises(BadInput):
            says()
    assert desk.journal.last() == last
    desk.approve("bob")
    with pytest.raises(BadInput):
        desk.approving.extend(desk.by("bob"), 1, HOUR, desk.now, text)


def test_everything_that_is_missing_is_named(desk: Story) -> None:
    """Reason and ticket at once, with their form; what has the form is taken, whole."""
    desk.rules = ruled(f'{ONE_LEAD}\nreason = "(?i)disk"\nticket = "OPS-[0-9]+"')
    with pytest.raises(BadInput, match=r"reason is missing.* ticket is missing: .*OPS-\[0-9\]\+"):
        desk.ask(wish(reason=None))
    with pytest.raises(BadInput, match=r"has to have \(\?i\)disk in it: so says the rule 'rule 1'"):
        desk.ask(wish(reason="to see", ticket="OPS-1"))
    with pytest.raises(BadInput, match="'XOPS-1' has to have the form"):
        desk.ask(wish(ticket="XOPS-1"))
    assert desk.ask(wish(ticket="OPS-17")).request.ticket == "OPS-17"


def test_the_hours_and_networks_of_the_rule_go_with_it(desk: Story) -> None:
    """Into the request, so that whoever approves sees them, and into the grant."""
    desk.rules = ruled(
        f'{ONE_LEAD}\ndays = "mon-fri"\nhours = "09:00-18:00"\nsources = ["10.0.0.0/8"]'
    )
    request = desk.ask().request
    window, sources = parse_window("mon-fri", "09:00-18:00", None), (ip_network("10.0.0.0/8"),)
    assert (request.window, request.sources) == (window, sources)
    grant = desk.approve("bob").grant
    assert grant is not None
    assert (grant.window, grant.sources) == (window, sources)
    assert grant.state(NOW.replace(hour=18)) is not State.ACTIVE


def test_narrower_hours_and_networks_of_ones_own(desk: Story) -> None:
    """Are kept as they were asked for; wider ones than the rule's are refused."""
    desk.rules = ruled(f'{ONE_LEAD}\nhours = "09:00-18:00"\nsources = ["10.0.0.0/8"]')
    narrow = wish(
        window=parse_window(None, "10:00-13:00", None), sources=(ip_network("10.1.0.0/16"),)
    )
    desk.ask(narrow)
    grant = desk.approve("bob").grant
    assert grant is not None
    assert (grant.window, grant.sources) == (narrow.window, narrow.sources)
    with pytest.raises(Refused, match="within these hours only: mon-sun 09:00-18:00 UTC"):
        desk.ask(wish(window=parse_window(None, "08:00-13:00", None)))
    with pytest.raises(Refused, match=r"these networks only: 10\.0\.0\.0/8"):
        desk.ask(wish(sources=(ip_network("192.0.2.0/24"),)))


def test_hardware_and_a_watcher_go_with_the_grant(desk: Story) -> None:
    """Where the rule wants them."""
    desk.rules = ruled(f'{ONE_LEAD}\nkeys = "hardware"\nwatch = true')
    desk.ask()
    grant = desk.approve("bob").grant
    assert grant is not None
    assert (grant.hardware, grant.watch) == (True, True)


def test_an_alias_is_asked_for_by_the_hosts_own_name(desk: Story) -> None:
    """It may come to mean another host, and the approval does not follow it there."""
    assert desk.ask(wish(hosts=selectors("alias-web-1"))).request.hosts == selectors("web-1")
    for name, aliases in (("web-1", set()), ("web-2", {"alias-web-1"})):
        found = desk.store.host(name)
        assert found is not None
        desk.store.replace_host(replace(found, aliases=frozenset(aliases)), ROOT, NOW)
    grant = desk.approve("bob").grant
    assert grant is not None
    assert [h.name for h in desk.store.hosts() if grant.covers(h)] == ["web-1"]


def test_a_start_to_come(desk: Story) -> None:
    """Its time counts from the start that was asked for, whenever somebody approves before."""
    desk.ask(wish(starts_at=NOW + 3 * HOUR))
    desk.now += HOUR
    grant = desk.approve("bob").grant
    assert grant is not None
    assert (grant.starts_at, grant.ends_at) == (NOW + 3 * HOUR, NOW + 5 * HOUR)
    assert grant.state(desk.now) is State.SCHEDULED


def test_a_start_that_came_and_went_before_somebody_approved(desk: Story) -> None:
    """What is left of the time is granted; when nothing is left, nothing is."""
    desk.ask(wish(starts_at=NOW + HOUR))
    desk.ask(wish(starts_at=NOW + HOUR))
    desk.now = NOW + 2 * HOUR
    grant = desk.approve("bob", 1).grant
    assert grant is not None
    assert (grant.starts_at, grant.ends_at) == (desk.now, NOW + 3 * HOUR)
    desk.now = NOW + 3 * HOUR
    with pytest.raises(Conflict, match="Its time was over at 2026-11-23 15:00 UTC: ask anew"):
        desk.approve("bob", 2)
    assert desk.standing(2) is Standing.PENDING


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (NOW - HOUR, "The start, 2026-11-23 11:00 UTC, is past: leave it out to begin now"),
        (NOW - 30 * DAY, "is past: leave it out to begin now"),
        (NOW + 4000 * DAY, "is more than ten years away"),
        (NOW.replace(year=9999, month=12, day=31, hour=23), "is more than ten years away"),
    ],
)
def test_a_start_that_is_none(desk: Story, start: object, said: str) -> None:
    """A slip of the finger is a sentence, also where there is no such day any more."""
    desk.rules = ruled(f'{ONE_LEAD}\nhours = "09:00-18:00"')
    with pytest.raises(BadInput, match=said):
        desk.ask(wish(starts_at=start))


def test_a_start_of_a_moment_ago_is_now(desk: Story) -> None:
    """Typing takes time."""
    desk.rules = ruled("automatic = true")
    grant = desk.ask(wish(starts_at=NOW - MINUTE)).grant
    assert grant is not None
    assert (grant.starts_at, grant.ends_at) == (NOW, NOW + 2 * HOUR - MINUTE)


# What was decided, and what went stale


def test_what_is_decided_is_decided(desk: Story) -> None:
    """Approving, denying or withdrawing it again says what came of it, and changes nothing."""
    for _ in range(3):
        desk.ask()
    desk.approve("bob", 1)
    desk.deny("bob", 2)
    desk.cancel("alice", 3)
    said = {
        1: "R-1 was approved as G-1 already, by bob",
        2: "R-2 was denied already, by bob",
        3: "R-3 was withdrawn by alice",
    }
    last = desk.journal.last()
    for number, sentence in said.items():
        with pytest.raises(Conflict, match=sentence):
            desk.approve("carol", number)
        with pytest.raises(Conflict, match=sentence):
            desk.deny("carol", number)
        with pytest.raises(Conflict, match=sentence):
            desk.cancel("alice", number)
    assert desk.journal.last() == last
    assert len(desk.grants) == 1


def test_nobody_decided_in_time(desk: Story) -> None:
    """It goes stale by itself, to the moment; nothing has to run for it."""
    desk.ask()
    desk.now = NOW + LIFETIME - SECOND
    assert desk.standing() is Standing.PENDING
    desk.now += SECOND
    assert desk.standing() is Standing.STALE
    for decide in (desk.approve, desk.deny):
        with pytest.raises(Conflict, match="R-1 has gone stale, as nobody decided in time: ask an"):
            decide("bob")
    with pytest.raises(Conflict, match="R-1 has gone stale"):
        desk.cancel("alice")


def test_one_withdraws_ones_own(desk: Story) -> None:
    """Somebody else's is as good as none; an operator on the machine may withdraw any."""
    desk.ask()
    for number in (1, 99):
        with pytest.raises(NotFound, match=rf"There is no request R-{number} of yours\."):
            desk.cancel("bob", number)
    assert desk.approving.cancel(ROOT, 1, desk.now).decided_by == "os:root"
    desk.ask()
    assert desk.cancel("alice", 2).decision is Standing.CANCELLED


def test_one_does_not_deny_ones_own(desk: Story) -> None:
    """It is withdrawn, and that is said; also on the machine."""
    desk.ask()
    desk.accounts = {"kim": "alice"}
    for actor in (desk.by("alice"), Actor("os:kim")):
        with pytest.raises(Refused, match="R-1 is your own: withdraw it with cancel R-1"):
            desk.approving.deny(actor, 1, "no", desk.now)


def test_a_number_that_is_none(desk: Story) -> None:
    """Every verb says so."""
    with pytest.raises(NotFound, match=r"There is no request R-7\."):
        desk.approve("bob", 7)
    with pytest.raises(NotFound, match=r"There is no request R-7\."):
        desk.deny("bob", 7)
    with pytest.raises(NotFound, match=r"There is no grant G-7\."):
        desk.extend("bob", 7)


def test_a_denial_has_a_reason(desk: Story) -> None:
    """Which is kept, and told."""
    desk.ask()
    denied = desk.deny("carol")
    assert (denied.decision, denied.decided_by, denied.comment) == (
        Standing.DENIED,
        "carol",
        "not today",
    )
    told = desk.events()[-1].happened
    assert (told.what, told.actor, told.why) == (What.REQUEST_DENIED, "carol", "not today")


# What changes between asking and approving


def test_the_host_is_removed_meanwhile(desk: Story) -> None:
    """A clear sentence, and no grant."""
    desk.ask()
    desk.store.remove_host("web-1", ROOT, NOW)
    with pytest.raises(Conflict, match=r"There is no host web-1 any more\. Let alice ask anew\."):
        desk.approve("bob")
    assert desk.standing() is Standing.PENDING
    assert desk.deny("bob").decision is Standing.DENIED


def test_her_account_is_closed_meanwhile(desk: Story) -> None:
    """Disabled or run out: nothing is granted to it, and it asks for nothing."""
    desk.ask()
    desk.change("alice", disabled_at=NOW)
    with pytest.raises(Conflict, match="The account alice is closed; R-1 can't be approved"):
        desk.approve("bob")
    with pytest.raises(Refused, match="The account alice is closed"):
        desk.ask()
    desk.change("alice", disabled_at=None, until=NOW + HOUR)
    desk.now += HOUR
    with pytest.raises(Conflict, match="The account alice is closed"):
        desk.approve("bob")


@pytest.mark.parametrize(
    "change",
    [
        {"disabled_at": NOW},
        {"until": NOW},
        {"roles": frozenset({Role.AUDITOR})},
        {"groups": frozenset({"security"})},
    ],
)
def test_an_approver_is_one_no_more_by_the_last_approval(
    desk: Story, change: dict[str, object]
) -> None:
    """Hers counts no more, and the others have to be enough without her."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.change("bob", **change)
    assert desk.waits_for() == (("2 of @leads",), ("carol", "dave"))
    assert desk.approve("carol").grant is None
    grant = desk.approve("dave").grant
    assert grant is not None
    assert grant.approved_by == ("carol", "dave")


def test_an_approver_comes_to_vouch_for_her(desk: Story) -> None:
    """What was said before does not count either."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.change("alice", sponsor="bob")
    assert desk.approve("carol").grant is None
    assert desk.approve("dave").grant is not None


def test_the_key_that_approved_is_taken_away(desk: Story) -> None:
    """It may have been stolen: its yes counts no more, and she can say it again with another."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.store.remove_key("bob", "SHA256:bob-1", ROOT, NOW)
    assert desk.waits_for() == (("2 of @leads",), ("bob", "carol", "dave"))
    assert desk.approve("carol").grant is None
    request = desk.inbox.request(1)
    assert request is not None
    bob = desk.by("bob", key="bob-sk")
    assert desk.approving.may_decide(bob, request, desk.now)
    grant = desk.approving.approve(bob, 1, desk.now).grant
    assert grant is not None
    assert sorted(grant.approved_by) == ["bob", "carol"]
    request = desk.inbox.request(1)
    assert request is not None
    assert sorted(request.approvers) == ["bob", "carol"]


def test_a_key_that_was_taken_away_decides_nothing(desk: Story) -> None:
    """Also on a connection that is open still: by whichever verb."""
    desk.ask()
    desk.approve("bob")
    desk.ask()
    for name in ("alice", "bob"):
        desk.store.remove_key(name, f"SHA256:{name}-1", ROOT, NOW)
    last = desk.journal.last()
    gone = "The key SHA256:(alice|bob)-1 is not enrolled for you any more"
    for verb in (
        desk.ask,
        partial(desk.approve, "bob", 2),
        partial(desk.deny, "bob", 2),
        partial(desk.cancel, "alice", 2),
        partial(desk.extend, "bob"),
        partial(desk.extend, "alice"),
    ):
        with pytest.raises(Refused, match=gone):
            verb()
    desk.close("carol")
    with pytest.raises(Refused, match="The account carol is closed"):
        desk.deny("carol", 2)
    assert desk.journal.last() == last + 1


def test_the_key_is_taken_away_in_the_moment_of_approving(desk: Story) -> None:
    """It is judged where it is written."""
    desk.ask()
    desk.approve("bob")
    taken = Late(desk, lambda other: other.store.remove_key("bob", "SHA256:bob-1", ROOT, NOW))
    desk.inbox = taken
    with pytest.raises(Refused, match="The key SHA256:bob-1 is not enrolled for bob any more"):
        desk.extend("bob")


def test_a_key_that_the_requester_gave_is_hers(desk: Story) -> None:
    """She enrolled it for bob: whoever holds it, it is no second person's."""
    desk.accounts = {"kim": "alice"}
    desk.store.enrol_key("bob", a_key("bob-2", hardware=False), Actor("os:kim"), NOW)
    desk.ask()
    with pytest.raises(Refused, match="alice gave bob that key: sign in with another one"):
        desk.approving.approve(desk.by("bob", key="bob-2"), 1, desk.now)
    assert desk.approve("bob").grant is not None


def test_a_key_that_the_requester_gave_again_counts_no_more(desk: Story) -> None:
    """What it had approved before does not either."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.store.remove_key("bob", "SHA256:bob-1", ROOT, NOW)
    desk.store.enrol_key("bob", a_key("bob-1", hardware=False), Actor("alice"), NOW)
    assert desk.waits_for()[0] == ("2 of @leads",)


def test_the_rules_become_stricter_meanwhile(desk: Story) -> None:
    """Shorter, other hosts, more people: today's rules decide."""
    desk.ask(wish(4 * HOUR))
    desk.rules = ruled(f'{ONE_LEAD}\nlongest = "1h"')
    with pytest.raises(
        Conflict,
        match=r"R-1 can't be approved any more\. 4h is too long for web-1: at most 1h\. "
        r"Let alice ask anew\.",
    ):
        desk.approve("bob")
    desk.rules = ruled(TWO_LEADS)
    assert desk.approve("bob").grant is None
    assert desk.approve("carol").grant is not None


def test_the_rule_is_gone_meanwhile(desk: Story) -> None:
    """By default nothing is allowed; the sentence is a whole one."""
    desk.ask()
    for rules in (ruled(), ruled(f'{ONE_LEAD}\nhosts = ["db-*"]')):
        desk.rules = rules
        with pytest.raises(Conflict, match=r"^R-1 can't be approved any more\. No rule gives.*\.$"):
            desk.approve("bob")
        assert desk.waits_for() == ((), ())
    assert desk.standing() is Standing.PENDING


def test_the_rules_come_to_want_hardware_or_a_fresh_sign_in(desk: Story) -> None:
    """Who agreed without has not agreed, and may do it again as it is wanted."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.rules = ruled(f'{TWO_LEADS}\napprover_keys = "hardware"\napprover_login = "2m"')
    assert desk.waits_for()[0] == ("2 of @leads",)
    desk.approving.approve(desk.by("carol", key="carol-sk"), 1, desk.now)
    assert desk.grants == []
    bob = desk.by("bob", key="bob-sk")
    grant = desk.approving.approve(bob, 1, desk.now).grant
    assert grant is not None
    assert set(grant.approved_by) == {"bob", "carol"}
    with pytest.raises(Conflict, match="approved as G-1 already"):
        desk.approving.approve(bob, 1, desk.now)


def test_the_hours_of_the_rule_change_meanwhile(desk: Story) -> None:
    """Wider: what was approved is what was asked for. Narrower: it is asked anew."""
    desk.rules = ruled(f'{TWO_LEADS}\nhours = "09:00-18:00"')
    desk.ask()
    desk.approve("bob")
    desk.rules = ruled(f'{TWO_LEADS}\nhours = "10:00-18:00"')
    with pytest.raises(Conflict, match="within these hours only: mon-sun 10:00-18:00 UTC"):
        desk.approve("carol")
    desk.rules = ruled(TWO_LEADS)
    grant = desk.approve("carol").grant
    assert grant is not None
    assert grant.window == parse_window(None, "09:00-18:00", None)


@pytest.mark.parametrize("text", ["automatic = true", ONE_LEAD])
def test_the_rules_come_to_want_less(desk: Story, text: str) -> None:
    """Whoever approves next is enough, also who has approved before."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.rules = ruled(text)
    assert desk.waits_for()[0] == ("any approver",)
    request = desk.inbox.request(1)
    assert request is not None
    assert desk.approving.may_decide(desk.by("bob"), request, desk.now)
    assert desk.approve("bob").grant is not None


def test_a_broken_file_changes_nothing(desk: Story, tmp_path: Path) -> None:
    """The rules before it stay in force for those who ask and those who approve, and it is told."""
    file = tmp_path / "policy.toml"
    file.write_text(desk.rules.text)
    book = Rulebook(file, desk.store, ROOT, lambda: desk.now)
    desk.rules = book.current()
    desk.ask()
    file.write_text("[[rule]]\nname = ")
    desk.rules = book.current()
    assert book.problem is not None
    assert desk.approve("bob").grant is not None
    assert desk.told().count(What.RULES_BROKEN) == 1


def test_the_hours_are_over_when_somebody_approves(desk: Story) -> None:
    """It would end before they begin again: asked anew, with a sentence for the approver."""
    desk.rules = ruled(f'{ONE_LEAD}\nhours = "09:00-18:00"')
    desk.ask()
    desk.now = NOW.replace(hour=19)
    with pytest.raises(
        Conflict,
        match=r"R-1 can't be approved any more\. It would end at 2026-11-23 21:00 UTC, before its "
        r"hours .* Let alice ask anew\.",
    ):
        desk.approve("bob")


def test_the_shell_of_the_host_is_known_no_more(desk: Story) -> None:
    """Commands can't be granted then, by nobody."""
    desk.rules = ruled(f'{ONE_LEAD}\nallow = ["command"]')
    line = Allows(commands=(parse_template("uptime"),))
    desk.ask(wish(allows=line))
    found = desk.store.host("web-1")
    assert found is not None
    desk.store.replace_host(replace(found, shell_type=None), ROOT, NOW)
    with pytest.raises(Conflict, match=r"Commands can't be granted on web-1.* Let alice ask anew"):
        desk.approve("bob")


# To last longer


def test_one_who_may_approve_extends_at_once(desk: Story) -> None:
    """The grant keeps its number; there is a request with her approval behind it."""
    desk.ask()
    desk.approve("bob")
    desk.now += HOUR
    answer = desk.extend("carol")
    assert answer.grant is not None
    assert (answer.grant.id, answer.grant.ends_at) == (1, NOW + 3 * HOUR)
    request = answer.request
    assert (request.extends, request.asked_by, request.approvers) == (1, "carol", ("carol",))
    assert (request.grant, request.decision) == (1, Standing.APPROVED)
    assert len(desk.grants) == 1


def test_the_contractor_asks_for_more_time(desk: Story) -> None:
    """And waits like for anything else; asking again says so, somebody else's extend agrees."""
    desk.ask()
    desk.approve("bob")
    asked = desk.extend("alice")
    assert (asked.grant, asked.waits_for) == (None, ("one of @leads",))
    with pytest.raises(Conflict, match="R-2 asks for that already, and waits"):
        desk.extend("alice", duration=2 * HOUR)
    answer = desk.extend("carol", duration=3 * HOUR)
    assert answer.request.id == 2
    assert answer.grant is not None
    assert answer.grant.ends_at == NOW + 3 * HOUR


def test_somebody_elses_extend_may_be_shorter(desk: Story) -> None:
    """The shortest counts here too."""
    desk.ask()
    desk.approve("bob")
    desk.extend("alice", duration=2 * HOUR)
    grant = desk.extend("bob", duration=HOUR).grant
    assert grant is not None
    assert grant.ends_at == NOW + 3 * HOUR


def test_an_extension_takes_as_many_as_a_grant(desk: Story) -> None:
    """Two, where two were needed: else two were never needed."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.approve("carol")
    first = desk.extend("bob")
    assert first.grant is None
    assert first.people == ("carol", "dave")
    with pytest.raises(Conflict, match="You have approved R-2 already"):
        desk.extend("bob")
    assert desk.grants[0].ends_at == NOW + 2 * HOUR
    second = desk.extend("dave")
    assert second.grant is not None
    assert second.grant.ends_at == NOW + 3 * HOUR
    assert second.request.approvers == ("bob", "dave")


def test_nobody_extends_what_is_her_own(desk: Story) -> None:
    """An approver who is a contractor too asks, also by an account of the machine."""
    desk.change("alice", roles=frozenset(Role), groups=frozenset({"contractors", "leads"}))
    desk.rules = ruled(f"{ONE_LEAD}\noperators = true")
    desk.ask()
    desk.approve("bob")
    assert desk.extend("alice").grant is None
    with pytest.raises(Refused, match="Nobody approves what is for herself"):
        desk.approve("alice", 2)
    desk.cancel("alice", 2)
    desk.accounts = {"kim": "alice"}
    answer = desk.approving.extend(Actor("os:kim"), 1, HOUR, desk.now)
    assert answer.grant is None
    assert answer.waits_for == ("one of @leads",)


def test_who_may_not_approve_may_not_extend(desk: Story) -> None:
    """Nothing is left behind of it but the refusal in the log."""
    desk.ask()
    desk.approve("bob")
    with pytest.raises(Refused, match="not for erin to decide"):
        desk.extend("erin")
    assert desk.inbox.request(2) is None
    assert desk.told()[-1] is What.REQUEST_REFUSED


def test_what_extends_too_far(desk: Story) -> None:
    """All of its time counts, from its beginning, however often it was extended."""
    desk.ask(wish(7 * HOUR))
    desk.approve("bob")
    assert desk.extend("bob").grant is not None
    with pytest.raises(Refused, match="9h is too long for web-1: at most 8h"):
        desk.extend("carol")
    assert desk.grants[0].ends_at == NOW + 8 * HOUR


def test_two_extensions_do_not_add_up_behind_the_rules_back(desk: Story) -> None:
    """One that waits is judged anew by what the grant has become."""
    desk.ask(wish(6 * HOUR))
    desk.approve("bob")
    desk.extend("alice", duration=2 * HOUR)
    desk.rules = ruled(f"{ONE_LEAD}\noperators = true")
    answer = desk.approving.extend(ROOT, 1, HOUR, desk.now)
    assert answer.request.id == 2, "an operator's extend settles the one that waits"
    assert answer.grant is not None
    assert answer.grant.ends_at == NOW + 7 * HOUR
    with pytest.raises(Conflict, match="R-2 was approved as G-1 already, by os:root"):
        desk.approve("bob", 2)


def test_what_is_over_is_not_extended(desk: Story) -> None:
    """Nor what was revoked: a new one is asked for."""
    desk.ask()
    desk.approve("bob")
    desk.extend("alice")
    desk.now = NOW + 2 * HOUR
    with pytest.raises(Conflict, match="G-1 ended at 2026-11-23 14:00 UTC: ask for a new one"):
        desk.extend("bob")
    assert desk.standing(2) is Standing.STALE
    desk.ask()
    desk.approve("bob", 3)
    desk.extend("alice", 2)
    desk.store.revoke_grant(2, ROOT, "enough", desk.now)
    with pytest.raises(Conflict, match="G-2 was revoked at 2026-11-23 14:00 UTC: ask for a new"):
        desk.extend("bob", 2)
    with pytest.raises(Conflict, match="G-2 was revoked"):
        desk.approve("bob", 4)


def test_the_last_second_of_a_grant_extends(desk: Story) -> None:
    """At its end itself it is over."""
    desk.ask()
    desk.approve("bob")
    desk.now = NOW + 2 * HOUR - timedelta(microseconds=1)
    assert desk.extend("bob").grant is not None


def test_an_operator_extends_where_a_rule_lets_operators(desk: Story) -> None:
    """Alone; and where it takes approvals, an account that is nobody does not."""
    desk.rules = ruled("operators = true")
    desk.store.add_grant(grant(hosts=selectors("web-1"), starts_at=NOW), ROOT, NOW)
    answer = desk.approving.extend(ROOT, 1, HOUR, desk.now)
    assert answer.grant is not None
    assert answer.grant.ends_at == NOW + 2 * HOUR
    assert answer.request.approvals == ()
    desk.accounts = {"kim": "erin"}
    assert desk.approving.extend(Actor("os:kim"), 1, HOUR, desk.now).grant is not None
    with pytest.raises(Refused, match="No rule gives alice access to web-1"):
        desk.extend("bob")
    desk.rules = ruled(ONE_LEAD)
    with pytest.raises(Refused, match="os:root is nobody that the bastion knows"):
        desk.approving.extend(ROOT, 1, HOUR, desk.now)


def test_an_extension_on_call_needs_nobody(desk: Story) -> None:
    """Where the access itself needed nobody."""
    desk.rules = ruled("automatic = true")
    desk.ask()
    answer = desk.extend("alice")
    assert answer.grant is not None
    assert answer.grant.ends_at == NOW + 3 * HOUR


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ('hours = "09:00-18:00"', "hours"),
        ('sources = ["10.0.0.0/8"]', "networks"),
        ('keys = "hardware"', "a hardware key"),
        ("watch = true", "somebody who watches"),
    ],
)
def test_a_grant_that_is_wider_than_todays_rules_is_not_extended(
    desk: Story, more: str, what: str
) -> None:
    """It would go on without what they have come to want, as it stays the same grant."""
    desk.ask()
    desk.approve("bob")
    desk.extend("alice")
    desk.rules = ruled(f"{ONE_LEAD}\n{more}")
    said = f"G-1 is wider than the rules are today, as the rule 'rule 1' limits it to {what}: ask"
    with pytest.raises(Conflict, match=said):
        desk.approve("bob", 2)
    desk.cancel("alice", 2)
    with pytest.raises(Conflict, match=said):
        desk.extend("bob")
    assert desk.grants[0].ends_at == NOW + 2 * HOUR


class Late(Inbox):
    """Between looking and writing, something else happens."""

    def __init__(self, desk: Story, meanwhile: Callable[[Story], object]) -> None:
        super().__init__(desk.store)
        self._other = Story(desk.store, desk.rules, desk.now)
        self._meanwhile = meanwhile

    def add(
        self, request: Request, by: Actor, now: datetime, judge: Judge | None = None
    ) -> Decided:
        self._meanwhile(self._other)
        return super().add(request, by, now, judge)


def test_somebody_else_extends_it_meanwhile(desk: Story) -> None:
    """What was looked at is there no more: nobody gets the sum of two decisions unseen."""
    desk.ask()
    desk.approve("bob")
    desk.inbox = Late(desk, lambda other: other.extend("carol"))
    with pytest.raises(Conflict, match="G-1 has been given another end meanwhile: look at it ag"):
        desk.extend("bob")
    assert desk.grants[0].ends_at == NOW + 3 * HOUR
    assert desk.inbox.request(3) is None


def test_somebody_else_begins_to_extend_it_meanwhile(desk: Story) -> None:
    """Then this is the second consent, and not a second request."""
    desk.rules = ruled(TWO_LEADS)
    desk.ask()
    desk.approve("bob")
    desk.approve("carol")
    desk.inbox = Late(desk, lambda other: other.extend("carol"))
    answer = desk.extend("bob")
    assert answer.grant is not None
    assert answer.grant.ends_at == NOW + 3 * HOUR
    assert answer.request.approvers == ("carol", "bob")
    assert desk.inbox.request(3) is None


def test_the_approver_is_closed_meanwhile(desk: Story) -> None:
    """It is judged where it is written."""
    desk.ask()
    desk.approve("bob")
    desk.inbox = Late(desk, lambda other: other.close("bob"))
    with pytest.raises(Refused, match="The account bob is closed"):
        desk.extend("bob")
    desk.inbox = Late(desk, lambda other: other.revoke())
    with pytest.raises(Conflict, match="G-1 was revoked"):
        desk.extend("carol")
    assert desk.inbox.request(2) is None


# Break-glass


BREAK_GLASS = 'emergency = true\nlongest = "1h"'


def test_in_an_emergency_one_gives_it_to_oneself(desk: Story) -> None:
    """At once, with a reason, short, and open for review."""
    desk.rules = ruled(ONE_LEAD, BREAK_GLASS)
    with pytest.raises(Refused, match="2h is too long"):
        desk.ask(wish(emergency=True))
    with pytest.raises(BadInput, match="The reason is missing"):
        desk.ask(wish(HOUR, emergency=True, reason=None))
    answer = desk.ask(wish(HOUR, emergency=True))
    grant = answer.grant
    assert grant is not None
    assert (grant.emergency, grant.reviewed_at, grant.approved_by) == (True, None, ())
    assert (grant.rule, grant.state(NOW)) == ("rule 2", State.ACTIVE)
    assert desk.told()[-2:] == [What.REQUEST_MADE, What.GRANT_GIVEN]
    assert desk.events()[-1].happened.details["emergency"] is True


def test_without_such_a_rule_there_is_no_emergency(desk: Story) -> None:
    """It says what to do instead."""
    for rules in (ruled(ONE_LEAD), ruled("automatic = true"), ruled("operators = true")):
        desk.rules = rules
        with pytest.raises(Refused, match=r"in an emergency; ask for it \(ssh bastion request\)"):
            desk.ask(wish(HOUR, emergency=True))


def test_a_break_glass_rule_gives_nothing_without_an_emergency(desk: Story) -> None:
    """Nor to anybody whom it does not name."""
    desk.rules = ruled(BREAK_GLASS)
    with pytest.raises(Refused, match="No rule gives alice access"):
        desk.ask(wish(HOUR))
    desk.rules = ruled(f'{BREAK_GLASS}\nwho = ["dave"]')
    with pytest.raises(Refused, match="in an emergency"):
        desk.ask(wish(HOUR, emergency=True))


def test_requests_that_wait_do_not_stand_in_the_way_of_an_emergency(desk: Story) -> None:
    """Only what waits is limited."""
    desk.rules = ruled(ONE_LEAD, BREAK_GLASS)
    for _ in range(MOST_PENDING):
        desk.ask()
    with pytest.raises(Conflict, match="20 requests for alice wait already: cancel some first"):
        desk.ask()
    assert desk.ask(wish(HOUR, emergency=True)).grant is not None
    desk.cancel("alice", 3)
    assert desk.ask().grant is None
    desk.now += LIFETIME
    assert desk.ask().grant is None, "stale ones do not count"


def test_somebody_else_looks_at_it_afterwards(desk: Story) -> None:
    """Open for review until an auditor has closed it, once; not by herself, by whatever account."""
    desk.rules = ruled(BREAK_GLASS)
    desk.change("erin", roles=frozenset({Role.APPROVER, Role.AUDITOR}))
    desk.ask(wish(HOUR, emergency=True))
    people = People({"kim": "alice"})
    rules = lambda: desk.rules  # noqa: E731
    access = Access(desk.store, cast(Authority, None), LIFETIME, rules, people)
    unreviewed = Wanted(unreviewed=True)
    assert [g.id for g in desk.store.grants(unreviewed)] == [1]
    for actor in (desk.by("alice"), Actor("os:kim"), Actor("alice", account="kim")):
        with pytest.raises(Refused, match="G-1 was your own: somebody else has to look at it"):
            access.review(actor, 1, "all well", desk.now)
    with pytest.raises(Conflict, match="G-1 is still open: revoke it first"):
        access.review(desk.by("erin"), 1, "all well", desk.now)
    desk.now += DAY
    for actor in (desk.by("bob"), ROOT):
        with pytest.raises(Refused, match="only an auditor can close a review"):
            access.review(actor, 1, "all well", desk.now)
    assert access.review(desk.by("erin"), 1, "all well", desk.now).reviewed_by == "erin"
    assert desk.store.grants(unreviewed) == []
    with pytest.raises(Conflict, match="G-1 was reviewed by erin already"):
        access.review(desk.by("erin"), 1, "all well", desk.now)
    desk.rules = ruled("automatic = true")
    desk.ask()
    desk.now += DAY
    with pytest.raises(Conflict, match="G-2 was not given by break-glass"):
        access.review(desk.by("erin"), 2, "all well", desk.now)


# Whom it is told


def test_unknown_and_forbidden_hosts_sound_alike(desk: Story) -> None:
    """Nor is a name suggested that she can't know, by herself or within a list."""
    desk.store.add_host(host("db-1", aliases={"db"}), ROOT, NOW)

    def said(*hosts: str, emergency: bool = False) -> str:
        with pytest.raises(Refused) as refused:
            desk.ask(wish(hosts=selectors(*hosts), emergency=emergency))
        return str(refused.value)

    for name in ("db-1", "db"):
        for emergency in (False, True):
            there = said(name, emergency=emergency)
            away = said(name.replace("b", "x"), emergency=emergency)
            assert there == away.replace("dx", "db")
    assert said("web-1", "db-1") == said("web-1", "dx-1").replace("dx", "db")
    assert "mean" not in said("wbe-1") + said("db-2") + said("web-1", "web-3")


def test_a_name_that_is_nearly_one_of_hers_is_no_oracle(desk: Story) -> None:
    """web-3 fits a pattern of hers and is not there: it sounds like any other."""
    with pytest.raises(Refused, match=r"^No rule gives alice access to web-3; what can be asked"):
        desk.ask(wish(hosts=selectors("web-3")))


def test_somebody_else_is_not_asked_for_who_does_not_exist(desk: Story) -> None:
    """The verb itself knows of users only."""
    with pytest.raises(NotFound, match="There is no user mallory"):
        desk.ask(wish(user="mallory"))


# The clock


def test_a_clock_that_was_set_back_decides_nothing_that_opens(desk: Story) -> None:
    """Asking, approving and extending wait for the right time; denying and withdrawing do not."""
    desk.ask()
    desk.approve("bob")
    desk.ask()
    desk.ask()
    desk.store.saw_time(NOW + HOUR)
    wrong = "The clock says 2026-11-23 12:00 UTC, but 2026-11-23 13:00 UTC has been already"
    with pytest.raises(Unavailable, match=wrong):
        desk.ask()
    with pytest.raises(Unavailable, match=wrong):
        desk.approve("bob", 2)
    with pytest.raises(Unavailable, match=wrong):
        desk.extend("bob")
    desk.deny("bob", 2)
    desk.cancel("alice", 3)


# The log


def test_every_step_is_one_event_that_names_the_rules(desk: Story) -> None:
    """Asked, agreed, given; refused, extended, denied, withdrawn: who, what, from where."""
    desk.rules = ruled(TWO_LEADS)
    begun = desk.journal.last()
    desk.ask()
    desk.approve("bob", comment="fine")
    first = desk.rules.version
    desk.rules = ruled(TWO_LEADS, "automatic = true\nhosts = ['db-*']")
    assert desk.rules.version != first
    desk.approve("carol")
    desk.extend("bob")
    desk.extend("dave")
    desk.ask()
    desk.deny("erin", 3)
    desk.ask()
    desk.cancel("alice", 4)
    with pytest.raises(Refused):
        desk.ask(wish(hosts=selectors("mail")))
    with pytest.raises(Conflict):
        desk.approve("bob", 4)
    told = [event.happened for event in desk.events(begun)]
    assert [(h.what.value, h.actor, h.request, h.grant) for h in told] == [
        ("request.made", "alice", 1, None),
        ("request.approved", "bob", 1, None),
        ("request.approved", "carol", 1, None),
        ("grant.given", "carol", 1, 1),
        ("request.made", "bob", 2, 1),
        ("request.approved", "bob", 2, 1),
        ("request.approved", "dave", 2, 1),
        ("grant.extended", "dave", 2, 1),
        ("request.made", "alice", 3, None),
        ("request.denied", "erin", 3, None),
        ("request.made", "alice", 4, None),
        ("request.cancelled", "alice", 4, None),
        ("request.refused", "alice", None, None),
    ]
    versions = [h.details["policy"] for h in told]
    assert versions[:2] == [first, first]
    assert set(versions[2:]) == {desk.rules.version}
    assert {h.user for h in told} == {"alice"}
    assert {h.source for h in told} == {"10.0.0.9"}
    assert told[1].why == "fine"
    assert told[-1].details["hosts"] == ["mail"]
    assert (
        told[-1].why
        == "No rule gives alice access to mail; what can be asked for: ssh bastion hosts"
    )


def test_a_refused_approval_is_told(desk: Story) -> None:
    """Somebody tried to approve her own; nothing else was written."""
    desk.change("alice", roles=frozenset(Role), groups=frozenset({"contractors", "leads"}))
    desk.ask()
    begun = desk.journal.last()
    with pytest.raises(Refused):
        desk.approve("alice")
    (event,) = desk.events(begun)
    told = event.happened
    assert (told.what, told.actor, told.request) == (What.REQUEST_REFUSED, "alice", 1)
    assert told.why == "Nobody approves what is for herself: somebody else has to."


def test_who_may_decide(desk: Story) -> None:
    """As `approve` itself would have it, but for the key and the sign-in."""
    desk.rules = ruled(TWO_LEADS)
    desk.accounts = {"kim": "carol"}
    request = desk.ask().request

    def may(actor: Actor) -> bool:
        found = desk.inbox.request(request.id)
        assert found is not None
        return desk.approving.may_decide(actor, found, desk.now)

    assert [may(desk.by(user.name)) for user in PEOPLE] == [False, True, True, True, False]
    assert may(Actor("os:kim"))
    assert not may(Actor("os:root"))
    desk.approve("carol")
    assert not may(desk.by("carol"))
    assert not may(Actor("os:kim"))
    desk.approve("bob")
    assert not may(desk.by("dave"))
