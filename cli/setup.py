"""`bastion-admin init`, `serve` and `doctor`: making an installation, running it, looking at it."""

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import click
import uvloop

from bastion import app, serving, supervising
from bastion.addresses import Endpoint
from bastion.bulletin import Bulletin
from bastion.config import Settings
from bastion.doctor import Finding, Level, examine, visit
from bastion.exposition import Exposition
from bastion.home import Home, Made, create
from bastion.metrics import Meters
from bastion.pulse import Pulse
from bastion.watchdog import Watchdog
from cli import worker
from cli.arguments import LISTEN
from cli.control import ControlPlane
from cli.desk import Desk
from cli.door import place
from cli.listing import as_json
from cli.logs import log_to_stderr
from cli.output import printable
from cli.systemd import interval, keep_notifying, notify
from cli.verb import Verb

DEFAULT = Endpoint("127.0.0.1", 2222)

MOST_WORKERS = 64

ALONE = "server"
"""What one process that does everything is called, where there are names for several."""


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
    """Serve, until SIGTERM; live sessions then have a while to end. SIGHUP reads the rules anew.

    With one worker everything is done by this process. With more, this one looks after them.
    """
    home = Home.at(place(desk.directory))
    app.upgrade(home)
    count = workers or min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    if count > 1:
        with home.lock():
            _supervise(desk, home, count)
    else:
        services = desk.services
        with services.home.lock():
            _listen(desk, services)
    notify("STOPPING=1")


def _supervise(desk: Desk, home: Home, count: int) -> None:
    settings = Settings.read(home)
    log_to_stderr("supervisor", settings.log.format)
    listening = supervising.listening_on(settings.listen.address)
    asked = _metrics(settings)

    def command(name: str, descriptors: Sequence[int], pipe: int) -> list[str]:
        return worker.command(home.directory, name, count, listening=descriptors, pipe=pipe)

    limits = settings.limits
    patience = supervising.Patience(stalled=limits.stalled, drain=limits.drain)

    async def supervised() -> None:
        supervisor = supervising.Supervisor(command, listening, count, patience)
        beside = _beside(asked, supervisor.bulletin, supervisor.well)
        await supervisor.run(lambda: _ready(desk, serving.addresses(listening)), beside)

    asyncio.run(supervised())


def _listen(desk: Desk, services: app.Services) -> None:
    log_to_stderr(form=services.settings.log.format)
    asked = _metrics(services.settings)
    with (
        Watchdog(services.settings.recording.stall) as watchdog,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        watchdog.follow(runner.get_loop())
        runner.run(_alone(desk, services, asked))


async def _alone(desk: Desk, services: app.Services, asked: Sequence[socket.socket]) -> None:
    """One process for everything; it says itself how it is."""
    pulse, bulletin = Pulse(Meters()), Bulletin([ALONE])
    bulletin.started(ALONE)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in _beside(asked, bulletin, lambda: True)]

        def ready(address: str) -> None:
            tasks.append(group.create_task(_keep_saying(pulse, bulletin)))
            _ready(desk, address)

        await serving.serve(services, ControlPlane(services), ready, pulse)
        for task in tasks:
            task.cancel()


async def _keep_saying(pulse: Pulse, bulletin: Bulletin) -> None:
    while True:
        bulletin.heard(ALONE, pulse.said())
        await asyncio.sleep(1)


def _metrics(settings: Settings) -> list[socket.socket]:
    """Where metrics are asked for; nowhere where the settings name no address."""
    address = settings.metrics.listen
    return [] if address is None else supervising.listening_on(address)


def _beside(
    asked: Sequence[socket.socket], bulletin: Bulletin, well: Callable[[], bool]
) -> list[Coroutine[object, object, None]]:
    """What goes on beside serving: whoever asks how it is is answered, and systemd told."""
    return [Exposition(bulletin).keep(asked), keep_notifying(bulletin, well, interval(os.environ))]


def _ready(desk: Desk, address: str) -> None:
    desk.output.note(f"{desk.program}: listening on {address}")
    notify("READY=1")


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
    elif findings:
        _say_findings(desk, findings)
    else:
        desk.output.note("Nothing is wrong.")
    if any(finding.level is Level.WRONG for finding in findings):
        raise click.exceptions.Exit(1)


def _say_findings(desk: Desk, findings: Sequence[Finding]) -> None:
    for finding in findings:
        colour = "red" if finding.level is Level.WRONG else "yellow"
        desk.output.line(f"{desk.output.styled(finding.level, colour)}: {printable(finding.what)}")
        desk.output.line(f"    mend: {printable(finding.mend)}")
