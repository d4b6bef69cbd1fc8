"""The people, hosts and rules of `test_life`, and how plain words and the bastion's stand together.

Rules are plain, and written down as a person would write them; requests and grants are the
bastion's, and said in plain words.
"""

import json
from dataclasses import replace
from datetime import timedelta
from functools import cache
from ipaddress import ip_network

from bastion.durations import format_duration
from bastion.grants import Grant
from bastion.inventory import Host, PublicKey, Role
from bastion.inventory import machines as behind
from bastion.requests import Request
from bastion.rules import Rules, parse_rules
from bastion.windows import Window, parse_window
from tests.bastion.plain_things import (
    Hours,
    PlainApproval,
    PlainGrant,
    PlainRequest,
    PlainRule,
)
from tests.bastion.wire_keys import wire_key
from tests.bastion.worlds import host, selectors

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
INSIDE, OUTSIDE = "10.0.0.9", "192.0.2.9"
NETWORK = ip_network("10.0.0.0/8")
ACCOUNTS = {"kim": "bob", "ann-here": "ann"}
"""Accounts of the machine and whom they act as; root is nobody in particular."""

PEOPLE = {
    "ann": ({"contractors"}, False),
    "sam": ({"contractors", "leads"}, True),
    "bob": ({"leads"}, True),
    "cat": ({"leads", "security"}, True),
    "dan": ({"security"}, True),
}
AUDITOR = "dan"
HOSTS = ("web-1", "web-2", "db-1")
KEYS = tuple(f"{name}-{kind}" for name in PEOPLE for kind in ("1", "2", "sk"))
FIRST = ("1", "sk")

LEADS, SECURITY = frozenset({"@leads"}), frozenset({"@security"})


def of(*needs: tuple[frozenset[str], int], **more: object) -> PlainRule:
    """A rule for contractors on web-1 and web-2; the needs are who, and how many of them."""
    who, hosts = frozenset({"@contractors"}), frozenset({"web-1", "web-2"})
    plain = PlainRule(who, hosts, longest=8 * HOUR, needs=needs)
    return replace(plain, **more)  # type: ignore[arg-type]


BREAK_GLASS = of(hosts=frozenset(HOSTS), longest=HOUR, emergency=True)
BOOKS: tuple[list[PlainRule], ...] = (
    [of((LEADS, 1)), BREAK_GLASS],
    [of((LEADS, 2), operators=True), of((LEADS, 1), hosts=frozenset({"db-1"}))],
    [of((LEADS, 1), (SECURITY, 1), approvers_hardware=True, hardware=True), BREAK_GLASS],
    [of((LEADS, 2), approvers_fresh=2 * MINUTE, hours=(9, 18))],
    [of((LEADS | {"dan"}, 3), inside=True), of(operators=True)],
    [of(who=frozenset({"ann"}), hosts=frozenset({"web-1"}), automatic=True), of((LEADS, 2))],
    [of((LEADS, 1), longest=2 * HOUR, hours=(10, 16))],
    [],
)


def text_of(number: int, plain: PlainRule) -> str:
    """A rule as a person would write it."""
    needs = (f"{{ from = {json.dumps(sorted(who))}, count = {n} }}" for who, n in plain.needs)
    fresh = plain.approvers_fresh
    lines = {
        "name": json.dumps(f"rule {number}"),
        "who": json.dumps(sorted(plain.who)),
        "hosts": json.dumps(sorted(plain.hosts)),
        "logins": '["deploy"]',
        "allow": '["shell"]',
        "longest": json.dumps(format_duration(plain.longest)),
        "approvals": plain.needs and f"[{', '.join(needs)}]",
        "automatic": plain.automatic and "true",
        "operators": plain.operators and "true",
        "emergency": plain.emergency and "true",
        "hours": plain.hours and f'"{plain.hours[0]:02}:00-{plain.hours[1]:02}:00"',
        "sources": plain.inside and f'["{NETWORK}"]',
        "keys": plain.hardware and '"hardware"',
        "approver_keys": plain.approvers_hardware and '"hardware"',
        "approver_login": fresh and json.dumps(format_duration(fresh)),
    }
    return "\n".join(["[[rule]]", *(f"{key} = {text}" for key, text in lines.items() if text)])


@cache
def book(number: int) -> Rules:
    """One of the books, read."""
    texts = [text_of(place, plain) for place, plain in enumerate(BOOKS[number])]
    return parse_rules("\n".join([f"# Book {number}", *texts]), "policy.toml")


@cache
def key(name: str) -> PublicKey:
    """A key by its name, as it is on the wire."""
    return wire_key(name, hardware=name.endswith("-sk"))


def roles(name: str, *, approver: bool) -> frozenset[Role]:
    """What somebody may do."""
    more = {Role.APPROVER: approver, Role.AUDITOR: name == AUDITOR}
    return frozenset({Role.CONTRACTOR, *(role for role, has in more.items() if has)})


def a_host(name: str, machine: int) -> Host:
    """The host of that name, on one machine or another."""
    return replace(host(name), address=f"10.0.0.{machine}")


def window(hours: Hours | None) -> Window | None:
    """Hours as the bastion has them."""
    if hours is None:
        return None
    return parse_window(None, f"{hours[0]:02}:00-{hours[1]:02}:00", None)


def hours_of(opened: Window | None) -> Hours | None:
    """Hours as plain words have them."""
    return None if opened is None else (opened.opens.hour, opened.closes.hour)


def plain_request(request: Request) -> PlainRequest:
    """A request of the bastion's, in plain words."""
    names_of = {key(name).fingerprint: name for name in KEYS}
    machines = {
        (selector, behind((selector,), [a_host(str(selector), machine)])): machine
        for selector in selectors(*HOSTS)
        for machine in (1, 2)
    }
    versions = {book(number).version: number for number in range(len(BOOKS))}
    return PlainRequest(
        user=request.user,
        host=str(request.hosts[0]),
        duration=request.duration,
        stale_at=request.stale_at,
        start=request.starts_at,
        hours=hours_of(request.window),
        inside=bool(request.sources),
        asker=request.asked_by,
        sponsor=request.sponsor,
        extends=request.extends,
        emergency=request.emergency,
        approvals=[
            PlainApproval(
                each.by,
                None if each.fingerprint is None else names_of[each.fingerprint],
                versions[each.policy or ""],
                each.duration or request.duration,
                machines[request.hosts[0], each.machines or ""],
            )
            for each in request.approvals
        ],
        decision=None if request.decision is None else str(request.decision),
        grant=request.grant,
    )


def plain_grant(grant: Grant) -> PlainGrant:
    """A grant of the bastion's, in plain words."""
    return PlainGrant(
        user=grant.user,
        host=str(grant.hosts[0]),
        start=grant.starts_at,
        end=grant.ends_at,
        hours=hours_of(grant.window),
        inside=bool(grant.sources),
        hardware=grant.hardware,
        emergency=grant.emergency,
        approved_by=sorted(grant.approved_by),
        revoked=grant.revoked_at is not None,
        reviewed=grant.reviewed_at is not None,
    )
