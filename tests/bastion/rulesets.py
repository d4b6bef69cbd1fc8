"""Rules for the tests: as people write them, and at random."""

import json
from datetime import timedelta

from hypothesis import strategies as st

from bastion.durations import LONGEST, format_duration
from bastion.rules import Mode, Need, Party, Rule, Rules, parse_rules
from tests.bastion.values import (
    commands,
    logins,
    networks,
    parties,
    patterns,
    selectors,
    windows,
)

WHOLE = """\
# A comment, to move the lines.

[[rule]]
name = "contractors on staging"
who = ["@contractors", "alice"]
hosts = [
  "web-*",
  "label:env=staging",
]
logins = ["deploy"]
allow = ["command"]
commands = ["systemctl restart nginx"]
longest = "8h"
approvals = [{ from = ["@leads", "label:owner"], count = 2 }, { from = ["@security"] }]
approver_keys = "hardware"
approver_login = "2m"
operators = true
emergency = true
reason = "[Ii]ncident"
ticket = "OPS-[0-9]+"
days = "mon-fri"
hours = "09:00-18:00"
tz = "Europe/Berlin"
sources = ["192.0.2.0/24", "2001:db8::/32"]
watch = true
keys = "hardware"

[[rule]]
name = "on call"
who = ["*"]
hosts = ["*"]
logins = ["*"]
allow = ["shell", "command"]
automatic = true
idle = "15m"
"""


def rule(text: str, name: str = "a rule") -> Rule:
    """A rule with only what a test does not care about: everybody's, automatic unless said."""
    written = {line.partition("=")[0].strip() for line in text.splitlines()}
    given = {
        "name": json.dumps(name),
        "who": '["*"]',
        "hosts": '["*"]',
        "logins": '["*"]',
        "allow": '["shell"]',
    }
    lines = [f"{key} = {value}" for key, value in given.items() if key not in written]
    if not written & {"approvals", "automatic", "operators", "emergency"}:
        lines.append("automatic = true")
    return parse_rules("\n".join(["[[rule]]", *lines, text]), "policy.toml").rules[0]


def rules(*texts: str) -> Rules:
    """Several of them, named by their numbers from 1."""
    made = tuple(rule(text, f"rule {number}") for number, text in enumerate(texts, start=1))
    return Rules("ab" * 32, made, "")


needs = st.builds(
    Need,
    st.lists(parties(asking=False), min_size=1, max_size=3).map(tuple),
    st.integers(1, 3),
)
modes = st.sampled_from([{Mode.SHELL}, {Mode.COMMAND}, {Mode.SHELL, Mode.COMMAND}])


@st.composite
def any_rule(draw: st.DrawFn, name: str = "a rule") -> Rule:
    """Whatever can be written down."""
    allowed = frozenset(draw(modes))
    ways = draw(st.sampled_from(["needs", "automatic", "operators", "emergency", "all"]))
    asked = tuple(draw(st.lists(needs, min_size=1, max_size=3))) if ways in {"needs", "all"} else ()
    few = st.frozensets(commands, min_size=1, max_size=3)
    return Rule(
        name=name,
        who=tuple(draw(st.lists(parties(asking=True), min_size=1, max_size=3))),
        hosts=tuple(draw(st.lists(selectors, min_size=1, max_size=3))),
        modes=allowed,
        logins=draw(st.none() | st.frozensets(logins, min_size=1, max_size=3)),
        commands=draw(st.none() | few) if allowed == {Mode.COMMAND} else None,
        longest=draw(st.sampled_from([timedelta(hours=1), timedelta(hours=8), LONGEST])),
        needs=asked,
        hardware_approvers=bool(asked) and draw(st.booleans()),
        approver_login=draw(st.sampled_from([None, timedelta(minutes=2)])) if asked else None,
        automatic=ways == "automatic",
        operators=ways in {"operators", "all"},
        emergency=ways in {"emergency", "all"},
        reason=draw(st.none() | patterns),
        ticket=draw(st.none() | patterns),
        window=draw(st.none() | windows),
        sources=tuple(draw(st.lists(networks, max_size=2))),
        watch=draw(st.booleans()),
        hardware=draw(st.booleans()),
        idle=draw(st.sampled_from([None, timedelta(minutes=15)])),
    )


def _list(things: object) -> str:
    assert isinstance(things, (tuple, list, frozenset))
    return json.dumps(
        sorted(map(str, things)) if isinstance(things, frozenset) else list(map(str, things))
    )


def _need(need: Need) -> str:
    return f"{{ from = {_list(need.sources)}, count = {need.count} }}"


def written(rule: Rule) -> str:
    """A rule as a person would write it."""
    days, hours, tz = rule.window.words() if rule.window else ("", "", "")
    lines = {
        "name": json.dumps(rule.name),
        "who": _list(rule.who),
        "hosts": _list(rule.hosts),
        "allow": _list(rule.modes),
        "logins": '["*"]' if rule.logins is None else _list(rule.logins),
        "commands": rule.commands and _list(rule.commands),
        "longest": json.dumps(format_duration(rule.longest)),
        "approvals": rule.needs and f"[{', '.join(map(_need, rule.needs))}]",
        "approver_keys": rule.hardware_approvers and '"hardware"',
        "approver_login": rule.approver_login and '"2m"',
        "automatic": rule.automatic and "true",
        "operators": rule.operators and "true",
        "emergency": rule.emergency and "true",
        "reason": rule.reason and json.dumps(rule.reason.text),
        "ticket": rule.ticket and json.dumps(rule.ticket.text),
        "days": days and json.dumps(days),
        "hours": hours and json.dumps(hours),
        "tz": tz and json.dumps(tz),
        "sources": rule.sources and _list(rule.sources),
        "watch": rule.watch and "true",
        "keys": rule.hardware and '"hardware"',
        "idle": rule.idle and '"15m"',
    }
    return (
        "\n".join(["[[rule]]", *(f"{key} = {text}" for key, text in lines.items() if text)]) + "\n"
    )


def party(text: str) -> Party:
    """Somebody as a rule names them."""
    return rule(f'approvals = [{{ from = ["{text}"] }}]').needs[0].sources[0]
