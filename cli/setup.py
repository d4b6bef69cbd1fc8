"""`bastion-admin init`, `serve` and `doctor`: making an installation, running it, looking at it."""

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click

from bastion import app
from bastion.addresses import Endpoint
from bastion.doctor import examine, visit
from bastion.home import Home, Made, create
from bastion.machine import Finding, Level
from cli.arguments import LISTEN
from cli.desk import Desk
from cli.door import place
from cli.listing import as_json
from cli.output import printable
from cli.systemd import notify
from cli.verb import Verb

DEFAULT = Endpoint("127.0.0.1", 2222)

MOST_WORKERS = 64


@click.command(
    cls=Verb,
    examples=[
        "[program] init --listen 0.0.0.0:2222 --name bastion --name bastion.example.org",
        "[program] --home ./try init",
    ],
)
@click.option(
    "--listen",
    type=LISTEN,
    metavar="HOST:PORT",
    default=str(DEFAULT),
    show_default=True,
    help="The address to listen on.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="What contractors type for the bastion, else `bastion`; may be repeated.",
)
@click.option(
    "--database",
    metavar="URL",
    help="An empty database of a server, postgresql://USER:PASSWORD@HOST/DATABASE; else a file.",
)
@as_json
@click.pass_obj
def init(
    desk: Desk, *, listen: Endpoint, names: tuple[str, ...], database: str | None, json: bool
) -> None:
    """Make a home: keys, settings, database.

    The host certificate of the bastion names each --name, the address to listen on and this
    machine. An installation that is there already is left as it is.
    """
    machine, now = socket.gethostname(), datetime.now(UTC)
    made = create(place(desk.directory), listen, names, machine, now, database=database)
    if json:
        desk.output.document(
            {
                "home": str(made.home.directory),
                "listen": str(made.listen),
                "names": list(made.names),
                "auditor": str(made.home.auditor),
                "recipient": made.recipient,
            }
        )
    else:
        _told(desk, made)


def _told(desk: Desk, made: Made) -> None:
    desk.output.fields(
        [("home", made.home.directory), ("listen", made.listen), ("names", made.names)]
    )
    desk.output.note(
        f"Take the auditors' private key away from here, and keep it safe: {made.home.auditor}"
    )
    desk.output.note(f"Next: {desk.program} user add, host add, grant; then {desk.program} serve.")


@click.command(cls=Verb, examples=["[program] serve", "[program] --home ./try serve --workers 1"])
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    help="Processes that carry sessions; as many as there are cores if not said.",
)
@click.pass_obj
def serve(desk: Desk, *, workers: int | None) -> None:
    """Serve, until SIGTERM; live sessions then have a while to end.

    SIGHUP reads the rules anew, and says what of the settings counts only from the next start on.
    With one worker everything is done by this process. With more, this one looks after them.
    """
    # What serves takes megabytes and a part of a second that no other command needs.
    from bastion.reloading import Started  # noqa: PLC0415
    from cli.serving import listen, supervise  # noqa: PLC0415

    home = Home.at(place(desk.directory))
    app.upgrade(home)
    count = workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    if count > 1:
        with home.lock() as lock:
            supervise(desk, Started.read(home), count, lock)
    else:
        services = desk.services
        with services.home.lock():
            listen(desk, services, Started(home, services.settings))
    notify("STOPPING=1")


@click.command(cls=Verb, examples=["[program] doctor", "[program] doctor --offline --json"])
@click.option("--offline", is_flag=True, help="Ask no target for its host key.")
@as_json
@click.pass_obj
def doctor(desk: Desk, *, offline: bool, json: bool) -> None:
    """What is wrong with this installation, and the mend.

    Exit status 1 when something is wrong; a warning alone is no failure.
    """
    home = Home.at(place(desk.directory))
    findings = examine(home)
    if not offline and not any(finding.level is Level.WRONG for finding in findings):
        findings += asyncio.run(visit(desk.services))
    if json:
        desk.output.document([asdict(finding) for finding in findings])
    else:
        _say_findings(desk, findings)
        if all(finding.level is Level.NOTE for finding in findings):
            desk.output.note("Nothing is wrong.")
    if any(finding.level is Level.WRONG for finding in findings):
        raise click.exceptions.Exit(1)


_COLOURS = {Level.WRONG: "red", Level.WARNING: "yellow", Level.NOTE: "cyan"}


def _say_findings(desk: Desk, findings: Sequence[Finding]) -> None:
    for finding in findings:
        colour = _COLOURS[finding.level]
        desk.output.line(f"{desk.output.styled(finding.level, colour)}: {printable(finding.what)}")
        desk.output.line(f"    mend: {printable(finding.mend)}")
