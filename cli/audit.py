"""`audit`: what happened, and what happens, as it does.

All of it can be run over SSH: it opens no file, and waits where others can work meanwhile. Below
it are the verbs of `cli.sealing`.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import click

from bastion import names
from bastion.errors import BadInput
from bastion.events import Event, What
from bastion.sentences import sentence
from bastion.store.events import Wanted
from cli.arguments import GRANT, HOST, LOGIN, PAST, REQUEST, SESSION, Read
from cli.desk import Desk
from cli.listing import MOST, Form
from cli.lookup import nearest
from cli.sealing import checkpoints, seal, verify
from cli.verb import Noun

STEP: Final = 0.5
"""Seconds between two looks at whether anything has happened."""

_ACTOR = re.compile(r"os:[A-Za-z0-9_][A-Za-z0-9._-]{0,31}|bastion|nobody", re.ASCII)

COLUMNS = (
    *("id", "at", "what", "actor", "source", "account", "user", "host", "login"),
    *("request", "grant", "connection", "session", "why", "sentence"),
)
"""Of the comma-separated form."""


def _who(text: str) -> str:
    """A user, or who else can act: an account of the machine, the bastion, nobody."""
    return text if _ACTOR.fullmatch(text) else names.user_name(text)


def _kinds(text: str) -> frozenset[What]:
    """One kind of event, or all that begin with a word: `grant`."""
    word = text.lower().rstrip("*").rstrip(".")
    found = frozenset(what for what in What if what == word or what.startswith(f"{word}."))
    if not found:
        words = {what.partition(".")[0] for what in What}
        meant = nearest(word, [*What, *words])
        known = meant or f" Known: {', '.join(sorted(words))}."
        raise BadInput(f"{text[:40]!a} is no kind of event.{known}")
    return found


WHO: Final[Read[str]] = Read("user", _who)
KINDS: Final[Read[frozenset[What]]] = Read("kind", _kinds)
CONNECTION: Final[Read[int]] = Read("c-n", lambda text: names.numbered("C", text))

EXAMPLES = (
    "[program] audit --user alice --since 2026-11-01",
    "[program] audit --since 1h --until 30m",
    "[program] audit --what grant --what door.refused --json",
    "[program] audit --follow",
    "[program] audit verify",
)


@click.pass_context
def tell(ctx: click.Context, /, **asked: Any) -> None:  # noqa: ANN401 (click's own)
    """What happened, the newest first; with --follow what happens, as it does.

    With --json each event is a line of its own: the same that goes to files and to syslog, which
    can be checked by its hash.
    """
    if ctx.invoked_subcommand is not None:
        _demand_nothing(ctx)
        return
    desk = ctx.find_object(Desk)
    assert desk is not None  # noqa: S101 (for the type)
    form, follow = Form(asked["json"], asked["csv"], asked["limit"]), asked["follow"]
    if form.json and form.csv:
        raise click.UsageError("--json and --csv can't both be.", ctx)
    if follow and (form.csv or asked["until"] is not None):
        raise click.UsageError("--follow goes on for ever: it goes with no --csv or --until.", ctx)
    wanted = _wanted(desk, asked)
    if follow:
        _follow(desk, wanted, json=form.json)
    else:
        _list(desk, form, desk.services.journal.events(wanted, limit=form.enough))


def _demand_nothing(ctx: click.Context) -> None:
    """The options are for the list: before another verb they would be forgotten."""
    typed = click.core.ParameterSource.COMMANDLINE
    for each in ctx.command.params:
        if each.name and ctx.get_parameter_source(each.name) is typed:
            verb = ctx.invoked_subcommand
            raise click.UsageError(f"{each.opts[0]} does not go with {verb}.", ctx)


def _wanted(desk: Desk, asked: dict[str, Any]) -> Wanted:
    host, kinds = asked["host"], asked["kinds"]
    known = None if host is None else desk.services.store.host(host)
    return Wanted(
        what=frozenset().union(*kinds) if kinds else None,
        user=asked["user"],
        host=host if known is None else known.name,
        login=asked["login"],
        request=asked["request"],
        grant=asked["grant"],
        connection=asked["connection"],
        session=asked["session"],
        since=asked["since"],
        until=asked["until"],
    )


def _list(desk: Desk, form: Form, found: Sequence[Event]) -> None:
    shown = found[: form.limit]
    if form.json:
        for event in shown:
            desk.output.line(_line(event))
    elif form.csv:
        desk.output.csv(COLUMNS, (_cells(event) for event in shown))
    elif shown:
        rows = ((event.id, _time(event), sentence(event)) for event in shown)
        desk.output.table(("id", "time", "event"), rows)
    else:
        desk.output.note("No events.")
    if len(found) > form.limit:
        desk.output.note("There are more events: narrow the list, or give a higher --limit.")


def _follow(desk: Desk, wanted: Wanted, *, json: bool) -> None:
    """Tell each event when it has happened, until whoever listens has enough."""
    journal = desk.services.journal
    cursor = journal.last() if wanted.since is None else 0
    while True:
        last = journal.last()
        found = journal.after(cursor, wanted, limit=MOST)
        for event in found:
            said = f"{_time(event)}  {sentence(event)}"
            desk.output.line(_line(event) if json else said)
        if len(found) == MOST:
            cursor = found[-1].id
        else:
            cursor = max(last, cursor, found[-1].id if found else 0)
            desk.pause(STEP)


def _line(event: Event) -> str:
    """An event's JSON; what a terminal would act on is escaped as JSON does it."""
    text = event.line().decode()
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _time(event: Event) -> str:
    return f"{event.at:%Y-%m-%d %H:%M:%S}"


def _cells(event: Event) -> tuple[object, ...]:
    written = event.written() | {"at": event.at, "sentence": sentence(event)}
    return tuple(written[name] for name in COLUMNS)


_OPTIONS = (
    click.Option(["--user"], type=WHO, help="Only what this person did, or what was about her."),
    click.Option(["--host"], type=HOST, help="Only what was about this host."),
    click.Option(["--login"], type=LOGIN, help="Only what was about this account there."),
    click.Option(["--request"], type=REQUEST, metavar="R-N", help="Only about this request."),
    click.Option(["--grant"], type=GRANT, metavar="G-N", help="Only about this grant."),
    click.Option(["--connection"], type=CONNECTION, metavar="C-N", help="Only this connection's."),
    click.Option(["--session"], type=SESSION, metavar="S-N", help="Only about this session."),
    click.Option(
        ["--what", "kinds"],
        type=KINDS,
        metavar="KIND",
        multiple=True,
        help="Only of this kind, as in door.refused, or grant for all of grants; may be repeated.",
    ),
    click.Option(
        ["--since"], type=PAST, metavar="TIME", help="Then or later; 2h is two hours ago."
    ),
    click.Option(["--until"], type=PAST, metavar="TIME", help="Before then."),
    click.Option(
        ["--follow"],
        is_flag=True,
        help="Go on telling what happens, the oldest first: from now, or from --since.",
    ),
    click.Option(
        ["--limit"],
        type=click.IntRange(1, MOST),
        default=100,
        show_default=True,
        help="At most so many, the newest first.",
    ),
    click.Option(["--csv"], is_flag=True, help="Tell it as comma-separated values."),
    click.Option(["--json"], is_flag=True, help="Tell each event as a line of JSON."),
)


def _audit(*verbs: click.Command) -> Noun:
    """`audit` with these verbs below it; alone it is the list."""
    group = Noun(
        "audit",
        callback=tell,
        params=list(_OPTIONS),
        invoke_without_command=True,
        help=tell.__doc__,
        short_help="What happened, and whether the log of it is sound.",
        examples=EXAMPLES,
    )
    for verb in verbs:
        group.add_command(verb)
    return group


audit = _audit(verify, checkpoints, seal)
"""On the machine itself."""

own_audit = _audit(verify, checkpoints)
"""Over SSH."""
