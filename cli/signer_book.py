"""`bastion-admin signer log` and `signer verify`: what was signed, and whether that fits."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

import click

from bastion.app import Services
from bastion.errors import BadInput, NotFound
from bastion.signing.book import LINE, read_line
from bastion.signing.checkup import book_of, compared
from bastion.signing.client import SignerClient
from bastion.signing.comparing import Comparison, Found
from cli.arguments import PAST
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.output import printable
from cli.verb import Verb
from recorder.nouns import counted

_COLUMNS = ("line", "at", "ca", "serial", "what", "for", "forced", "until")
_SHOWN = "n", "at", "ca", "serial", "what", "principals", "forced", "until"

MOST = 100
"""So many findings are told; who has more needs no list."""


@click.command(
    cls=Verb, examples=["[program] signer log --limit 20", "[program] signer log --json"]
)
@listed
@click.pass_obj
def log(desk: Desk, *, form: Form) -> None:
    """What the signer has signed, the newest first, as it says itself.

    Beside certificates for contractors and targets, which the ledger has too, these are host
    certificates and seals.
    """
    signer = _signer(desk.services)
    newest = signer.lines(2**52)[1]
    entries = [read_line(line) for line in book_of(signer, max(0, newest - form.enough))]
    found = [([entry.get(name) for name in _SHOWN], dict(entry)) for entry in reversed(entries)]
    tell(desk, form, "signatures", _COLUMNS, found[: form.enough])


@click.command(
    cls=Verb,
    short_help="Hold the signer's book against the ledger.",
    examples=["[program] signer verify", "[program] signer verify --book gate-2.jsonl"],
)
@click.option(
    "--book",
    "books",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="What another machine's signer for the same database has signed; may be repeated.",
)
@click.option(
    "--since",
    type=PAST,
    metavar="TIME",
    help="Only what was signed then or later; 2h is two hours ago.",
)
@as_json
@click.pass_obj
def verify(desk: Desk, *, books: Sequence[Path], since: datetime | None, json: bool) -> None:
    """Hold the signer's book against the ledger: each certificate has to stand in both.

    One that the ledger does not have was signed for somebody else, or the bastion or the signer
    was broken off before it was kept; one that the book does not have was not signed by this
    signer. The book's chain is checked too. Exit status 1 where something is found. Several
    machines that share a database have a signer each: name the others' books, their files one
    behind the other.
    """
    services = desk.services
    comparison = Comparison(services.clock.now(), since)
    others = [_lines(path) for path in books]
    signer = _signer(services)
    book = book_of(signer)
    found = list(islice(compared(book, services.store, comparison, others=others), MOST + 1))
    if json:
        desk.output.document(
            {
                "lines": comparison.lines,
                "certificates": comparison.certificates,
                "findings": [{"difference": f.difference, "what": f.what} for f in found[:MOST]],
            }
        )
    else:
        _say(desk, comparison, found)
    if found:
        raise click.exceptions.Exit(1)


def _say(desk: Desk, comparison: Comparison, found: Sequence[Found]) -> None:
    for each in found[:MOST]:
        what = printable(each.what)
        desk.output.line(f"{desk.output.styled(each.difference, 'red')}: {what}")
    if len(found) > MOST:
        desk.output.note("There is more; mend this first.")
    elif not found:
        desk.output.note(
            f"{counted(comparison.lines, 'line')} of the book, "
            f"{counted(comparison.certificates, 'certificate')}: each "
            "is in the ledger, and each of the ledger since then is in the book."
        )


def _signer(services: Services) -> SignerClient:
    if services.signer is None:
        raise NotFound("There is no signer: the keys lie in the home (docs/signer.md).")
    return services.signer


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="ascii") as file:
            yield from (line.rstrip("\n") for line in iter(lambda: file.readline(LINE), ""))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(path)!a} can't be read as a book: {error}.") from None
