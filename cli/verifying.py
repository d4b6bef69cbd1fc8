"""`bastion-admin verify`: whether recordings are as they were sealed."""

from collections.abc import Sequence
from typing import Final

import click

from bastion import sealing
from bastion.audit import ANCHOR
from bastion.errors import BadInput
from cli.arguments import SESSION
from cli.desk import Desk
from cli.listing import as_json
from cli.output import printable
from cli.sessions import wanted_session
from cli.verb import Verb
from recorder.verify import Finding

NOT_ANCHORED: Final = (
    "Not anchored: whoever is root here could have sealed another recording. Send the checkpoints "
    "of the log out ([audit] anchors)."
)


@click.command(
    cls=Verb,
    short_help="Whether recordings are as they were sealed.",
    examples=["[program] verify S-31", "[program] verify --all --json"],
)
@click.argument("session", type=SESSION, metavar="[S-N]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every recording, seal and file.")
@as_json
@click.pass_obj
def verify(desk: Desk, *, session: int | None, everything: bool, json: bool) -> None:
    """Whether recordings are as they were sealed: files, rows, signatures, and their chain.

    Exit status 1 when anything was found. Whether the log has left this machine, and so who could
    have sealed anew, is told by audit verify.
    """
    if everything == (session is not None):
        raise BadInput("Say what to verify: a session as in S-31, or --all.")
    services = desk.services
    inspection = sealing.inspection(
        services.settings.recordings(services.home),
        services.index,
        services.seals,
        keys=services.authority.seal_keys,
        tombstones=services.tombstones,
        keeping=services.keeping,
        now=services.clock.now,
    )
    open_still = ""
    if session is None:
        findings = list(inspection.everything())
    else:
        if services.seals.of(session) is None:
            open_still = wanted_session(services, session).name
        findings = inspection.session(session)
    if open_still and not findings:
        desk.output.note(f"{open_still} is live, or not sealed yet: nothing is proved of it.")
    anchored = bool(services.journal.cursors(ANCHOR))
    if json:
        told = [{"wrong": f.wrong, "where": f.where, "sentence": f.sentence} for f in findings]
        sound = not findings
        shape = {"sound": sound, "unsealed": open_still or None, "anchored": anchored}
        desk.output.document({**shape, "findings": told})
    else:
        _say(desk, findings, proved=not open_still, anchored=anchored)
    if findings:
        raise click.exceptions.Exit(1)


def _say(desk: Desk, findings: Sequence[Finding], *, proved: bool, anchored: bool) -> None:
    for each in findings:
        kind = desk.output.styled(each.wrong, "red")
        desk.output.line(f"{kind}: {printable(each.sentence)}")
    if proved and not findings:
        desk.output.line("Nothing was changed, is missing or was added.")
    if not anchored:
        desk.output.line(NOT_ANCHORED)
