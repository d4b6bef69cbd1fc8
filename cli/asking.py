"""`ssh bastion request`: asking for an access, or for a grant to last longer.

What is missing is asked for at a terminal, and named all at once elsewhere.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import click

from bastion import commands, names
from bastion.approving import Answer
from bastion.durations import parse_duration
from bastion.errors import BadInput, NotFound
from bastion.grants import Allows, State
from bastion.inventory import Selector, parse_selector
from bastion.looks import Way
from bastion.petition import Wish, asking_for
from bastion.policy import Identity
from bastion.requests import Standing
from bastion.rights import what_can
from bastion.ruling import Ruling, rule_for
from bastion.templates import parse_template
from bastion.words import behind_dashes
from cli import lookup, sentences, shapes
from cli.arguments import GRANT, SELECTOR, WORDS
from cli.desk import Desk
from cli.listing import as_json
from cli.own import signed_in
from cli.phrases import END
from cli.requests import warn
from cli.terms import Terms, termed
from cli.verb import Verb
from cli.waiting import until_decided

T = TypeVar("T")

TRIES = 5
"""How often something is asked for before it is given up."""

EXAMPLE = "request web-1 --login deploy --shell --for 2h --reason disk full"


class _Request(Verb):
    """The verb that takes a command line behind `--`, as `--command` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What stands behind `--` is one command, in the quotes that it was typed in."""
        if END in args:
            at = args.index(END)
            line = _behind(ctx.find_object(Desk), args[at + 1 :])
            args = [*args[:at], *([f"--command={commands.parse(line)}"] if line else [])]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """With the command behind `--`."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND…]"]


def _behind(desk: Desk | None, words: list[str]) -> str:
    typed = None if desk is None or desk.line is None else behind_dashes(desk.line)
    return " ".join(words) if typed is None else typed


@dataclass(frozen=True, slots=True)
class _Draft:
    """What has been said so far."""

    host: Selector | None
    terms: Terms
    reason: str | None
    emergency: bool

    def missing(self) -> Iterator[str]:
        """What nobody has said yet."""
        if self.host is None:
            yield "HOST"
        if not self.terms.logins:
            yield "--login LOGIN"
        if self.terms.allows is None:
            yield "--shell, --sftp, --forward or -- COMMAND"
        if self.terms.duration is None:
            yield "--for DURATION"
        if self.reason is None:
            yield "--reason WORDS"


@click.command(
    cls=_Request,
    short_help="Ask for an access, or for more time.",
    examples=[
        f"[program] {EXAMPLE}",
        "[program] request web-1 --login deploy --for 30m --reason roll out -- uptime",
        (
            "[program] request web-1 --login deploy --for 2h --reason logs "
            "--command 'cat {path:/var/log}'"
        ),
        (
            "[program] request label:env=staging --login deploy --shell --from 2026-11-24T08:00Z "
            "--for 8h --reason migration --ticket OPS-17 --wait"
        ),
        "[program] request --extend G-7 --for 1h --reason not done yet",
    ],
)
@click.argument("host", type=SELECTOR, required=False, metavar="[HOST]")
@termed
@click.option("--reason", type=WORDS, help="Why, in a few words; they run to the next option.")
@click.option("--break-glass", "emergency", is_flag=True, help="At once, where a rule lets you.")
@click.option("--extend", "number", type=GRANT, metavar="G-N", help="More time for that grant.")
@click.option("--wait", is_flag=True, help="Hold on until it is decided.")
@as_json
@click.pass_obj
def request(
    desk: Desk,
    *,
    host: Selector | None,
    terms: Terms,
    reason: str | None,
    emergency: bool,
    number: int | None,
    wait: bool,
    json: bool,
) -> None:
    """Ask for an access to HOST: a name, a pattern, or label:K=V.

    Somebody else has to agree, as the rules want it; what was approved is what you asked for, or
    less. At a terminal (ssh -t) you are asked for what you leave out.
    """
    draft = _Draft(host, terms, reason, emergency)
    answer = _asked(desk, draft) if number is None else _more_time(desk, draft, number)
    warn(desk, answer)
    if not json:
        desk.output.line(str(answer.request))
    _say(desk, answer)
    if wait and answer.request.decision is None:
        answer = until_decided(desk, answer)
        _say(desk, answer)
    now = desk.services.clock.now()
    if json:
        desk.output.document(shapes.request(answer, now))
    if answer.request.standing(now) not in (Standing.PENDING, Standing.APPROVED):
        raise click.exceptions.Exit(1)


def _say(desk: Desk, answer: Answer) -> None:
    """Where it stands, and what to do next."""
    now = desk.services.clock.now()
    desk.output.note(sentences.about_answer(answer, now))
    if answer.grant is None:
        return
    if answer.request.emergency:
        desk.output.note("Others have been told, and it is open for review.")
    if answer.grant.state(now) is State.ACTIVE:
        fetch = sentences.fetching(signed_in(desk).key)
        desk.output.note(f"Fetch a certificate: {fetch}")


# An access


def _asked(desk: Desk, draft: _Draft) -> Answer:
    wish = _wish(signed_in(desk), _whole(desk, draft))
    if wish.ticket is None and desk.can_ask and _wants_ticket(desk, wish):
        wish = replace(wish, ticket=_answered(desk, "Which ticket? ", str))
    services = desk.services
    return services.approving.request(desk.actor, wish, services.clock.now())


def _whole(desk: Desk, draft: _Draft) -> _Draft:
    """The draft with nothing left out but, at most, the reason. Raises BadInput."""
    missing = list(draft.missing())
    if missing and desk.can_ask:
        return _completed(desk, draft)
    if set(missing) > {"--reason WORDS"} or (missing and draft.reason is not None):
        lacks = f"{', '.join(missing[:-1])} and {missing[-1]}" if missing[1:] else missing[0]
        raise BadInput(f"The request lacks {lacks}: write it as in {desk.program} {EXAMPLE}")
    return draft


def _wish(identity: Identity, draft: _Draft) -> Wish:
    terms = draft.terms
    if draft.host is None or terms.allows is None or terms.duration is None:
        raise BadInput("The request is not whole.")
    return Wish(
        user=identity.user.name,
        hosts=(draft.host,),
        logins=frozenset(terms.logins),
        allows=terms.allows,
        duration=terms.duration,
        reason=draft.reason,
        ticket=terms.ticket,
        starts_at=terms.starts_at,
        sources=terms.sources,
        window=terms.window,
        emergency=draft.emergency,
    )


def _wants_ticket(desk: Desk, wish: Wish) -> bool:
    services = desk.services
    asking = asking_for(wish, signed_in(desk).user)
    ruling = rule_for(services.rulebook.current(), asking, services.store.hosts())
    return isinstance(ruling, Ruling) and ruling.rule.ticket is not None


# Questions at a terminal


def _completed(desk: Desk, draft: _Draft) -> _Draft:
    """Ask for whatever was left out."""
    terms = draft.terms
    host = draft.host or _answered(desk, "Which host? ", partial(_to_ask_for, desk))
    if not terms.logins:
        terms = replace(terms, logins=(_answered(desk, "As whom there? ", names.login_name),))
    if terms.allows is None:
        allows = _answered(desk, "A shell, or which command? [shell] ", _allows, "shell")
        terms = replace(terms, allows=allows)
    if terms.duration is None:
        longest = "For how long (30m, 2h, 1d)? "
        terms = replace(terms, duration=_answered(desk, longest, parse_duration))
    reason = draft.reason or _answered(desk, "Why, in a few words? ", _reason)
    return replace(draft, host=host, terms=terms, reason=reason)


def _answered(desk: Desk, question: str, read: Callable[[str], T], usual: str = "") -> T:
    """What the person answers, asked again where it can't be taken. Raises Abort if none comes."""
    for _ in range(TRIES):
        answer = desk.ask(question)
        if answer is None:
            break
        try:
            return read(answer.strip() or usual)
        except BadInput as error:
            desk.output.note(str(error))
    desk.output.note("Nothing was asked for.")
    raise click.Abort


def _to_ask_for(desk: Desk, text: str) -> Selector:
    """Raises BadInput for a name that no rule lets her ask for, be there such a host or not."""
    wanted, services = parse_selector(text), desk.services
    hosts = services.store.hosts()
    rights = what_can(services.rulebook.current(), signed_in(desk).user, hosts)
    mine = {right.host for right in rights if right.way is not Way.OPERATOR}
    names = {name for host in hosts if host.name in mine for name in host.names}
    if wanted.exact and str(wanted) not in names:
        meant = lookup.nearest(str(wanted), names)
        raise BadInput(f"{wanted} is none that you may ask for ({desk.program} hosts).{meant}")
    return wanted


def _allows(text: str) -> Allows:
    return Allows(True) if text.lower() == "shell" else Allows(commands=(parse_template(text),))


def _reason(text: str) -> str:
    return names.free_text(text, "reason")


# More time


def _more_time(desk: Desk, draft: _Draft, number: int) -> Answer:
    if replace(draft, terms=replace(draft.terms, duration=None), reason=None) != _NOTHING:
        raise BadInput("Beside --extend say only --for and --reason: the rest stays as it is.")
    services, now = desk.services, desk.services.clock.now()
    grant = services.store.grant(number)
    if grant is None or grant.user != signed_in(desk).user.name:
        raise NotFound(f"There is no grant G-{number} of yours: {desk.program} status lists them.")
    duration = draft.terms.duration or _how_much_longer(desk)
    return services.approving.extend(desk.actor, number, duration, now, draft.reason)


_NOTHING = _Draft(None, Terms(), None, emergency=False)


def _how_much_longer(desk: Desk) -> timedelta:
    if not desk.can_ask:
        raise BadInput("The request lacks --for DURATION: how much longer it is to last.")
    return _answered(desk, "How much longer (30m, 2h)? ", parse_duration)
