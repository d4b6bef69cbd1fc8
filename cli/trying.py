"""`policy test`: what the rules in force would say, rule by rule and look by look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network

import click

from bastion.approvals import Bench, barred_from
from bastion.denials import clock
from bastion.grants import Allows
from bastion.inventory import Role, Selector
from bastion.looks import listed
from bastion.rights import limits
from bastion.rules import Rules
from bastion.ruling import Asking, Refusal, Ruling, Step, Way, explain, rule_for
from bastion.templates import Template
from cli import lookup
from cli.arguments import COMMAND, DURATION, LOGIN, MOMENT, NETWORK, SELECTOR, USER, WORDS
from cli.desk import Desk
from cli.listing import as_json
from cli.output import Row
from cli.shapes import Shape
from cli.verb import Verb

SHORT = 12
"""Digits of the rules' version that are shown to people."""

_WAYS = {
    Way.REQUEST: "may ask for it",
    Way.OPERATOR: "may be given it by an operator",
    Way.EMERGENCY: "may take it in an emergency",
}


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of it. `against` are sentences: any one of them makes it a no."""

    asking: Asking
    rules: Rules
    answer: Ruling | Refusal
    steps: tuple[Step, ...]
    against: tuple[str, ...]
    people: tuple[str, ...]


@click.command(
    "test",
    cls=Verb,
    short_help="What the rules would say to USER about HOST.",
    examples=[
        "[program] policy test alice web-1 --login deploy --shell --for 8h",
        "[program] policy test alice web-1 --login root --way emergency --reason 'disk full'",
        (
            "[program] policy test alice label:env=staging --login deploy "
            "--at 2026-11-28T22:00+01:00 --source 192.0.2.7"
        ),
    ],
)
@click.argument("user", type=USER)
@click.argument("host", type=SELECTOR)
@click.option(
    "--login",
    "logins",
    type=LOGIN,
    multiple=True,
    required=True,
    help="An account on the host; may be repeated.",
)
@click.option("--shell", is_flag=True, help="A shell; what is asked for unless --command is said.")
@click.option(
    "--command",
    "commands",
    type=COMMAND,
    multiple=True,
    metavar="TEMPLATE",
    help="A command line, with placeholders as {a,b} or {word}; may be repeated.",
)
@click.option("--for", "duration", type=DURATION, default="1h", show_default=True, help="How long.")
@click.option(
    "--way",
    type=click.Choice([way.value for way in Way]),
    default=Way.REQUEST.value,
    show_default=True,
    help="Asked for, given by an operator, or taken in an emergency.",
)
@click.option("--reason", type=WORDS, help="The reason that would be given.")
@click.option("--ticket", help="The ticket that would be given.")
@click.option("--at", type=MOMENT, metavar="TIME", help="When it would begin.")
@click.option("--source", type=NETWORK, metavar="IP", help="Where it would be used from.")
@as_json
@click.pass_obj
def test(
    desk: Desk,
    *,
    user: str,
    host: Selector,
    logins: tuple[str, ...],
    shell: bool,
    commands: tuple[Template, ...],
    duration: timedelta,
    way: str,
    reason: str | None,
    ticket: str | None,
    at: datetime | None,
    source: IPv4Network | IPv6Network | None,
    json: bool,
) -> None:
    """What the rules in force would say to USER about HOST, rule by rule and look by look.

    Nothing is asked for by it. Exit status 1 where the answer is no; what is missing in a reason
    or a ticket makes a no only where one of them is given.
    """
    asking = Asking(
        user=lookup.user(desk.services, user),
        hosts=(_known(desk, host),),
        logins=frozenset(logins),
        allows=Allows(shell or not commands, commands),
        duration=duration,
        way=Way(way),
        reason=reason,
        ticket=ticket,
        starts_at=at,
    )
    tried = _tried(desk, asking, source)
    if json:
        desk.output.document(_shape(tried))
    else:
        desk.output.table(("rule", "looked at", "result", "wants", "asked"), _rows(tried.steps))
        for line in _verdict(tried):
            desk.output.line(line)
    if tried.against:
        raise click.exceptions.Exit(1)


def rules_in_force(desk: Desk) -> Rules:
    """The rules in force. Over SSH it is said here where the file is broken since."""
    rules = desk.services.rulebook.current()
    problem = desk.services.rulebook.problem
    if problem is not None and desk.identity is not None:
        desk.output.note(f"{problem} The rules before it stay in force.")
    return rules


def _tried(desk: Desk, asking: Asking, source: IPv4Network | IPv6Network | None) -> _Tried:
    rules, hosts = rules_in_force(desk), desk.services.store.hosts()
    answer = rule_for(rules, asking, hosts)
    return _Tried(
        asking=asking,
        rules=rules,
        answer=answer,
        steps=explain(rules, asking, hosts),
        against=tuple(_against(desk, asking, answer, source)),
        people=tuple(_people(desk, asking, answer)) if isinstance(answer, Ruling) else (),
    )


def _known(desk: Desk, selector: Selector) -> Selector:
    """With the nearest name where there is no such host: whoever tests rules may know hosts."""
    if not selector.exact:
        return selector
    return Selector(pattern=lookup.host(desk.services, str(selector)).name)


def _against(
    desk: Desk,
    asking: Asking,
    answer: Ruling | Refusal,
    source: IPv4Network | IPv6Network | None,
) -> Iterator[str]:
    """All that makes it a no, a sentence each."""
    if isinstance(answer, Refusal):
        yield answer.sentence
        return
    if not asking.user.may_sign_in(asking.starts_at or desk.services.clock.now()):
        yield f"The account {asking.user.name} is closed."
    if asking.way is not Way.OPERATOR and Role.CONTRACTOR not in asking.user.roles:
        yield f"{asking.user.name} has not the role contractor, so can't ask."
    if asking.reason is not None or asking.ticket is not None:
        yield from answer.missing
    if source is not None and answer.sources and not _within(source, answer.sources):
        yield f"It can't be used from {source.network_address}."


def _within(
    source: IPv4Network | IPv6Network, networks: Sequence[IPv4Network | IPv6Network]
) -> bool:
    return any(source[0] in network and source[-1] in network for network in networks)


def _rows(told: Sequence[Step]) -> Iterator[Row]:
    """Each rule as far as it was looked at: up to what did not fit, and up to what decides."""
    for step in told:
        for check_ in step.checks:
            result = "ok" if check_.passed else "not ok"
            yield step.rule, check_.key, result, check_.wanted, check_.asked
            if not check_.passed:
                break
        if step.decides:
            return


def _verdict(tried: _Tried) -> Iterator[str]:
    asking, answer = tried.asking, tried.answer
    if tried.against:
        yield f"No. {' '.join(tried.against)}"
    if isinstance(answer, Refusal):
        return
    if not tried.against:
        by = f"by the rule {answer.rule.name!r} of version {answer.version[:SHORT]}"
        yield f"Yes, {by}: {asking.user.name} {_WAYS[asking.way]}."
    if answer.needs:
        who = listed(tried.people) or "nobody who could is there"
        yield f"Has to agree: {' and '.join(map(str, answer.needs))} ({who})."
    for phrase in limits(answer.rule):
        yield f"Only {phrase}."
    if asking.starts_at is not None and answer.window is not None:
        opens_at = answer.window.opens_at(asking.starts_at)
        if opens_at > asking.starts_at:
            yield f"It could be used from {clock(opens_at)} on."


def _people(desk: Desk, asking: Asking, ruling: Ruling) -> list[str]:
    """Who could agree to it."""
    services = desk.services
    enrollers = services.people.persons(services.store.key_enrollers(asking.user.name))
    meant = (h for h in services.store.hosts() if any(s.matches(h) for s in asking.hosts))
    bench = Bench(
        needs=ruling.needs,
        hosts=tuple(meant),
        barred=barred_from(asking.user, enrollers),
        hardware=ruling.rule.hardware_approvers,
    )
    return bench.eligible(services.inbox.approvers(), (), services.clock.now())


def _shape(tried: _Tried) -> Shape:
    answer = tried.answer
    ruling = answer if isinstance(answer, Ruling) else None
    return {
        "answer": "no" if tried.against else "yes",
        "version": tried.rules.version,
        "rule": None if ruling is None else ruling.rule.name,
        "code": answer.code if isinstance(answer, Refusal) else None,
        "against": list(tried.against),
        "missing": [] if ruling is None else list(ruling.missing),
        "needs": [] if ruling is None else list(map(str, ruling.needs)),
        "people": list(tried.people),
        "limits": [] if ruling is None else list(limits(ruling.rule)),
        "steps": [_step(step) for step in tried.steps],
    }


def _step(step: Step) -> Shape:
    checks = [
        {"key": c.key, "passed": c.passed, "wanted": c.wanted, "asked": c.asked}
        for c in step.checks
    ]
    return {"rule": step.rule, "decides": step.decides, "checks": checks}
