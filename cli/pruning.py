"""`prune`: letting recordings go whose time is over; and what is said of one that is gone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

import click

from bastion.denials import clock
from bastion.durations import format_size
from bastion.errors import BastionError, Refused
from bastion.pruning import Due
from bastion.retention import GRACE
from cli.arguments import PAST
from cli.desk import Desk
from cli.listing import as_json
from cli.shapes import Shape
from cli.verb import Verb
from recorder import RecorderError
from recorder.errors import NotHere
from recorder.nouns import counted

MOST = 100_000
"""Recordings that one run lets go at most; the next goes on."""

EVERYTHING = "Everything is kept for ever: [retention] in bastion.toml says nothing else."

UNTOLD = (
    "The log does not know these rules yet: they count a day after the service was started with "
    "them, or prune was run."
)

COLUMNS = ("session", "user", "host", "ended", "rule", "size")


@dataclass
class _Round:
    """What became of those that were due."""

    gone: list[Shape] = field(default_factory=list)
    left: list[Shape] = field(default_factory=list)
    bytes: int = 0
    held: int = 0
    elsewhere: int = 0
    more: int = 0


@click.command(
    cls=Verb,
    short_help="Let recordings go whose time is over.",
    examples=[
        "[program] prune --dry-run",
        "[program] prune --dry-run --json",
        "[program] prune --until 2026-01-01 --limit 100",
    ],
)
@click.option("--dry-run", is_flag=True, help="Say what would go, and let nothing go.")
@click.option(
    "--until",
    type=PAST,
    metavar="TIME",
    help="Only of sessions that ended before then; 30d is thirty days ago.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=1000,
    show_default=True,
    help="At most so many, those of one host after another.",
)
@click.option("--yes", is_flag=True, help="By rules that are younger than a day, too.")
@click.option("--clock-is-right", is_flag=True, help="The bastion was off for long; go on.")
@as_json
@click.pass_obj
def prune(
    desk: Desk,
    *,
    dry_run: bool,
    until: datetime | None,
    limit: int,
    yes: bool,
    clock_is_right: bool,
    json: bool,
) -> None:
    """Let recordings go that were kept for as long as [retention] in bastion.toml says.

    What goes leaves a tombstone, which verify knows. What is on hold stays, and so does what is not
    as it was sealed: then the exit status is 1. The service does it each hour by itself.
    """
    pruning = desk.services.pruning
    if not dry_run:
        _demand(desk, yes=yes, clock_is_right=clock_is_right)
    else:
        _warn(desk)
    found = pruning.due(until)
    done = _looked_at(desk, found, limit) if dry_run else _let_go(desk, found, limit, quiet=json)
    if json:
        desk.output.document(_document(desk, done, dry_run=dry_run))
    else:
        _say(desk, done, dry_run=dry_run)
    if done.left:
        raise click.exceptions.Exit(1)


def _demand(desk: Desk, *, yes: bool, clock_is_right: bool) -> None:
    """Raises Unavailable, Refused: nothing may go now."""
    services = desk.services
    if clock_is_right:
        services.keeping.trust_clock(desk.actor, services.clock.now())
    since = services.pruning.heed(desk.actor)
    if not services.pruning.retention.finite:
        desk.output.note(EVERYTHING)
        return
    services.pruning.demand_right_clock()
    if services.clock.now() - since < GRACE and not yes:
        raise Refused(
            f"These rules of retention are new, and count from {clock(since + GRACE)} on. Look at "
            "bastion-admin prune --dry-run; with --yes they count at once."
        )


def _warn(desk: Desk) -> None:
    """Before a dry run: why none of it would go now."""
    services = desk.services
    if not services.pruning.retention.finite:
        desk.output.note(EVERYTHING)
        return
    since = services.keeping.heeded(services.pruning.retention)
    if since is None:
        desk.output.note(UNTOLD)
    elif services.clock.now() - since < GRACE:
        desk.output.note(f"These rules are new: they count from {clock(since + GRACE)} on.")
    try:
        services.pruning.demand_right_clock()
    except BastionError as error:
        desk.output.note(f"Not now: {error}")


def _looked_at(desk: Desk, found: Iterable[Due], limit: int) -> _Round:
    """What would go: at most `limit` of it by name."""
    done = _Round()
    for due in found:
        if due.held:
            done.held += 1
            continue
        size = _size(desk, due)
        if not size:
            done.elsewhere += 1
            continue
        done.bytes += size
        if len(done.gone) < limit:
            done.gone.append(_shape(due, size))
        else:
            done.more += 1
    return done


def _let_go(desk: Desk, found: Iterator[Due], limit: int, *, quiet: bool) -> _Round:
    done, pruning = _Round(), desk.services.pruning
    with pruning.removal.turn():
        for problem in pruning.removal.finish_pending():
            done.left.append({"session": problem.partition(" ")[0], "sentence": f"{problem}."})
        free = (due for due in _without_held(found, done))
        for due in islice(free, limit):
            _one(desk, due, done, quiet=quiet)
        done.more = sum(1 for _ in free)
    return done


def _without_held(found: Iterable[Due], done: _Round) -> Iterator[Due]:
    for due in found:
        if due.held:
            done.held += 1
        else:
            yield due


def _one(desk: Desk, due: Due, done: _Round, *, quiet: bool) -> None:
    name = due.session.name
    try:
        tombstone = desk.services.pruning.let_go(due, desk.actor)
    except NotHere:
        done.elsewhere += 1
        return
    except (RecorderError, BastionError) as error:
        said = f"{name} stays: {str(error).rstrip('.')}."
        done.left.append({"session": name, "sentence": said})
        return
    size = sum(part.size for part in tombstone.files)
    done.bytes += size
    done.gone.append(_shape(due, size))
    if not quiet:
        whose = f"{due.session.user} on {due.session.host}"
        desk.output.line(f"{name} of {whose} was let go ({due.rule}): {format_size(size)}")


def _size(desk: Desk, due: Due) -> int:
    try:
        return desk.services.pruning.removal.size(due.session)
    except (RecorderError, OSError):
        return 0


def _shape(due: Due, size: int) -> Shape:
    session = due.session
    return {
        "session": session.name,
        "user": session.user,
        "grant": f"G-{session.grant}",
        "host": session.host,
        "ended_at": session.ended_at,
        "rule": str(due.rule),
        "bytes": size,
    }


def _document(desk: Desk, done: _Round, *, dry_run: bool) -> Shape:
    retention = desk.services.pruning.retention
    return {
        "dry_run": dry_run,
        "rules": {"version": retention.version, "lines": retention.lines()},
        "recordings": done.gone,
        "bytes": done.bytes,
        "held": done.held,
        "elsewhere": done.elsewhere,
        "more": done.more,
        "left": done.left,
    }


def _say(desk: Desk, done: _Round, *, dry_run: bool) -> None:
    if dry_run and done.gone:
        desk.output.table(COLUMNS, map(_row, sorted(done.gone, key=_number)))
    for each in done.left:
        desk.output.note(str(each["sentence"]))
    count = len(done.gone) + (done.more if dry_run else 0)
    verb = "would go" if dry_run else "let go"
    what = counted(count, "recording")
    desk.output.note(f"{what} {verb}: {format_size(done.bytes)}.")
    if done.more and not dry_run:
        desk.output.note(f"There is more: {done.more}. Run it again.")
    if done.held:
        desk.output.note(f"On hold, though due: {done.held} ({desk.program} holds).")
    if done.elsewhere:
        desk.output.note(f"Not here: {done.elsewhere}. Another machine has them; verify knows.")


def _number(shape: Shape) -> int:
    return int(str(shape["session"]).removeprefix("S-"))


def _row(shape: Shape) -> tuple[object, ...]:
    size = shape["bytes"]
    shown = format_size(size) if isinstance(size, int) else ""
    return (*(shape[name] for name in ("session", "user", "host", "ended_at", "rule")), shown)
