"""`hold`, `release`, `holds`: keeping recordings, whatever the rules of retention say.

All of them can be run over SSH.
"""

import click

from bastion import names
from bastion.errors import BadInput
from bastion.retention import Hold
from cli import shapes
from cli.arguments import WORDS, Read
from cli.audit import WHO
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.verb import Verb

COLUMNS = ("what", "by", "since", "reason", "released", "released by", "why")


def _held(text: str) -> tuple[int | None, int | None]:
    """A session or a grant, one of the two. Raises BadInput."""
    letter = text.strip()[:2].upper()
    if letter == "S-":
        return names.numbered("S", text), None
    if letter == "G-":
        return None, names.numbered("G", text)
    raise BadInput(
        f"{text[:40]!a} is nothing that can be held: write a session S-31 or a grant G-7."
    )


HELD: Read[tuple[int | None, int | None]] = Read("s-n|g-n", _held)


@click.command(
    cls=Verb,
    short_help="Keep a session's recording, or a grant's.",
    examples=[
        "[program] hold S-31 --reason 'INC-42 goes to court'",
        "[program] hold G-7 --reason 'audit 2026'",
    ],
)
@click.argument("what", type=HELD, metavar="S-N|G-N")
@click.option("--reason", type=WORDS, required=True, help="Why, in a few words.")
@as_json
@click.pass_obj
def hold(desk: Desk, *, what: tuple[int | None, int | None], reason: str, json: bool) -> None:
    """Keep a session's recording, or all of a grant's, those to come too, whatever the rules say.

    Several people may hold the same: each releases her own.
    """
    services = desk.services
    reason = names.free_text(reason, "reason")
    placed = services.keeping.hold(*what, desk.actor, reason, services.clock.now())
    if json:
        desk.output.document(shapes.hold(placed))
    else:
        desk.output.note(f"{placed.name} is on hold until {desk.program} release {placed.name}.")


@click.command(
    cls=Verb,
    short_help="End a hold.",
    examples=[
        "[program] release S-31 --reason 'the case is closed'",
        "[program] release G-7 --of rita --reason 'rita has left'",
    ],
)
@click.argument("what", type=HELD, metavar="S-N|G-N")
@click.option("--of", type=WHO, metavar="USER", help="The hold of somebody else.")
@click.option("--reason", type=WORDS, required=True, help="Why, in a few words.")
@as_json
@click.pass_obj
def release(
    desk: Desk, *, what: tuple[int | None, int | None], of: str | None, reason: str, json: bool
) -> None:
    """End your hold on a session or a grant: the rules of retention count again.

    It stays kept while somebody else holds it.
    """
    services = desk.services
    reason, now = names.free_text(reason, "reason"), services.clock.now()
    ended = services.keeping.release(*what, desk.actor, reason, now, of=of)
    if json:
        desk.output.document(shapes.hold(ended))
        return
    desk.output.note(f"The hold of {ended.by} on {ended.name} is over.")
    for other in services.keeping.holds(session=what[0], grant=what[1]):
        desk.output.note(f"{other.name} is still held by {other.by}: {other.reason}")


@click.command(
    cls=Verb,
    short_help="What is on hold.",
    examples=["[program] holds", "[program] holds G-7 --all --json"],
)
@click.argument("what", type=HELD, metavar="[S-N|G-N]", required=False)
@click.option("--all", "everything", is_flag=True, help="Those that were released too.")
@listed
@click.pass_obj
def holds(
    desk: Desk, *, form: Form, what: tuple[int | None, int | None] | None, everything: bool
) -> None:
    """What is kept whatever the rules say: since when, by whom and why; the newest first."""
    session, grant = what or (None, None)
    found = desk.services.keeping.holds(
        limit=form.enough, released=everything, session=session, grant=grant
    )
    columns = COLUMNS if everything else COLUMNS[:4]
    rows = [(_row(each)[: len(columns)], shapes.hold(each)) for each in found]
    tell(desk, form, "holds", columns, rows)


def _row(given: Hold) -> tuple[object, ...]:
    return (
        given.name,
        given.by,
        given.at,
        given.reason,
        given.released_at,
        given.released_by,
        given.release_reason,
    )
