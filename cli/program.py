"""The program: the group that all verbs of `bastion-admin` belong to, and one run of it."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from click.shell_completion import shell_complete

from cli import actor, door, output, person
from cli.audit import audit
from cli.authority import ca
from cli.backup import backup, restore, shut
from cli.certificates import certificates
from cli.clock import clock
from cli.demo import demo
from cli.desk import Desk
from cli.evidence import evidence
from cli.exporting import export
from cli.files import files
from cli.granting import grant
from cli.grants import extend, grants, review, revoke
from cli.holding import hold, holds, release
from cli.hosts import host
from cli.notices import notices, notify
from cli.policy import policy
from cli.pruning import prune
from cli.replaying import replay
from cli.requests import approve, deny, requests
from cli.search import reindex, search
from cli.sessions import kill, sessions
from cli.setup import doctor, init, serve
from cli.show import show
from cli.signer import signer
from cli.transcripts import transcript
from cli.trust import trust
from cli.users import user
from cli.verb import Noun, run
from cli.verifying import verify
from cli.watching import watch

PROGRAM = "bastion-admin"

COMPLETION = "_BASTION_ADMIN_COMPLETE"
"""The variable by which a shell asks for completion (click's documentation, Shell Completion)."""


def _version() -> str:
    try:
        return version("ssh-bastion")
    except PackageNotFoundError:
        return "unknown"


def _say_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        desk = ctx.find_object(Desk)
        if desk is not None:
            desk.output.line(f"{PROGRAM} {_version()}")
        ctx.exit()


@click.group(
    cls=Noun,
    examples=[
        "[program] init --listen 0.0.0.0:2222",
        "[program] user add alice --key alice.pub",
        "[program] host add web-1 --address 10.0.0.5 --scan",
        "[program] grant alice --host web-1 --login deploy --shell --for 2h --reason 'disk full'",
        "[program] sessions --live",
    ],
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The home directory; else BASTION_HOME, else /var/lib/bastion for root and "
    "~/.local/share/bastion for others.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Say the version and exit.",
)
@click.pass_obj
def admin(desk: Desk, home: Path | None) -> None:
    """An SSH bastion that records what it lets through.

    Exit status: 0 done, 1 refused or failed, 2 a mistake in what was typed.
    """
    desk.directory = home


for verb in (
    init,
    serve,
    demo,
    doctor,
    trust,
    user,
    host,
    ca,
    signer,
    policy,
    grant,
    requests,
    approve,
    deny,
    grants,
    extend,
    revoke,
    shut,
    review,
    certificates,
    sessions,
    show,
    files,
    replay,
    transcript,
    search,
    reindex,
    watch,
    export,
    verify,
    hold,
    release,
    holds,
    prune,
    evidence,
    kill,
    audit,
    clock,
    backup,
    restore,
    notices,
    notify,
):
    admin.add_command(verb)


def desk_of_process() -> Desk:
    """The desk of somebody who types on this machine."""
    own = output.of_process()
    typist = person.of_process(own.err)
    return Desk(PROGRAM, own, actor.of_process(os.environ), door.entered, person=typist)


def start() -> int:
    """Run what was typed, and give the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    asked = os.environ.get(COMPLETION)
    if asked is not None:
        return shell_complete(admin, {}, PROGRAM, COMPLETION, asked)
    try:
        return run(admin, sys.argv[1:], desk_of_process())
    except BrokenPipeError:
        # Whoever read has enough; what is still buffered must not complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
