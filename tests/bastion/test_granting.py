"""Whether a grant may be given: each refusal says why, each warning what to know."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bastion.errors import BadInput, NotFound, Refused
from bastion.granting import SLOW, Granted, Proposal, judge
from bastion.grants import Allows
from bastion.inventory import User
from bastion.templates import parse_template
from bastion.windows import parse_window
from tests.bastion.worlds import HOUR, NOW, SECOND, SHELL, TICK, host, selectors, user

INVENTORY = [
    host("prod-host", aliases={"prod"}, labels={("env", "prod")}),
    host("web-1"),
    host("web-2", shell_type=None),
    host("router", shell_type=None),
]
UPTIME = Allows(commands=(parse_template("uptime"),))


def judged(*hosts: str, to: User | None = None, by: str = "bob", **changes: object) -> Granted:
    """Bob gives alice a shell on prod-host for an hour, but for what is said otherwise."""
    proposal = Proposal(
        user="alice",
        hosts=selectors(*hosts or ("prod-host",)),
        logins=frozenset({"deploy"}),
        allows=SHELL,
        ends_at=NOW + HOUR,
        reason="to see",
    )
    proposal = replace(proposal, **changes)  # type: ignore[arg-type]
    return judge(proposal, to or user(), INVENTORY, by, NOW)


def test_a_plain_grant() -> None:
    """From now on, without a warning; it names who gave it."""
    given = judged()
    assert given.warnings == ()
    assert (given.grant.starts_at, given.grant.ends_at) == (NOW, NOW + HOUR)
    assert (given.grant.granted_by, given.grant.granted_at) == ("bob", NOW)


def test_hours_that_never_come_are_no_grant() -> None:
    """And it is told when they begin later than the grant does."""
    window = parse_window("sat", "10:00-11:00", None)  # NOW is a Monday
    with pytest.raises(BadInput, match=r"before its hours \(sat 10:00-11:00 UTC\) begin at"):
        judged(window=window)
    given = judged(window=window, ends_at=NOW + 7 * 24 * HOUR)
    assert given.grant.window == window
    assert given.warnings == ("It can be used from 2026-11-28 10:00 UTC on (sat 10:00-11:00 UTC).",)


def test_closed_accounts_get_nothing() -> None:
    """Also one that ends this moment."""
    with pytest.raises(Refused, match="The account alice is closed"):
        judged(to=user(until=NOW))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ends_at": NOW}, "is past already"),
        ({"ends_at": NOW - HOUR}, "is past already"),
        ({"starts_at": NOW - SLOW - TICK}, "The start, .* is past: leave it out"),
        ({"starts_at": NOW + HOUR}, "before it begins"),
        ({"ends_at": NOW + timedelta(days=4000)}, "more than ten years away"),
        ({"hosts": ()}, "names no host"),
        ({"logins": frozenset()}, "names no login"),
        ({"logins": frozenset({"a b"})}, "can't be a login"),
        ({"logins": frozenset(f"l{n}" for n in range(101))}, "more than 100"),
        (
            {"allows": Allows(commands=tuple(parse_template(f"id {n}") for n in range(1001)))},
            "more than 1000 commands",
        ),
        ({"reason": "  "}, "The reason is empty"),
        ({"reason": "a\nb"}, "control characters"),
        ({"ticket": "x" * 101}, "The ticket has 101 characters"),
    ],
)
def test_what_is_no_grant(changes: dict[str, Any], said: str) -> None:
    """Times that are past or absurd, nothing named, texts that are none."""
    with pytest.raises(BadInput, match=said):
        judged(**changes)


def test_a_grant_has_room_for_a_thousand_templates() -> None:
    """The limit itself is allowed."""
    thousand = Allows(commands=tuple(parse_template(f"id {n}") for n in range(1000)))
    assert judged(allows=thousand).grant.allows == thousand


def test_a_start_a_moment_ago_is_now() -> None:
    """Typing takes time; nothing begins before it was given."""
    assert judged(starts_at=NOW - SLOW).grant.starts_at == NOW
    assert judged(starts_at=NOW + SECOND).grant.starts_at == NOW + SECOND


def test_unknown_hosts_are_asked_about() -> None:
    """A near one is named."""
    with pytest.raises(NotFound, match=r"There is no host prod-hots: do you mean prod-host\?"):
        judged("prod-hots")
    with pytest.raises(NotFound, match=r"There is no host zzz\."):
        judged("prod-host", "zzz")


def test_an_alias_is_kept_as_its_host() -> None:
    """It may come to mean another; and one host twice is one."""
    assert judged("prod", "PROD-HOST").grant.hosts == selectors("prod-host")


def test_a_pattern_that_matches_nothing_is_told() -> None:
    """It may be meant for hosts to come, or be a slip."""
    assert judged("db-*").warnings == ("No host matches db-* today.",)
    assert judged("label:env=test").warnings == ("No host matches label:env=test today.",)
    assert judged("web-*", "label:env=prod").warnings == ()


def test_commands_need_a_known_shell() -> None:
    """A host that is named, or all that a pattern means: refused, with the mend."""
    mend = "bastion-admin host set web-2 --shell-type bash"
    with pytest.raises(Refused, match=mend):
        judged("web-2", allows=UPTIME)
    with pytest.raises(Refused, match="router"):
        judged("rout*", allows=UPTIME)
    with pytest.raises(Refused, match=mend):
        judged("web-1", "web-2", allows=UPTIME)
    assert judged("web-*", allows=UPTIME).warnings == (
        "Commands will not run on web-2, as its shell is not known.",
    )
    assert judged("web-2").warnings == ()


def test_programs_that_start_others_are_told() -> None:
    """Whoever grants `vim` grants a shell."""
    (warning,) = judged(
        allows=Allows(commands=(parse_template("uptime"), parse_template("vim x")))
    ).warnings
    assert warning.startswith("vim can start a shell and write files: vim x. Instead ")


def test_an_account_that_ends_first_is_told() -> None:
    """The grant is not worth more than the account."""
    (warning,) = judged(to=user(until=NOW + SECOND)).warnings
    assert warning.startswith("The account alice ends before the grant does, at 2026-11-23 12:00")
    assert judged(to=user(until=NOW + HOUR)).warnings == ()
