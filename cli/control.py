"""The control plane over SSH: `ssh bastion VERB…` runs the same verbs, those on a list.

A remote verb speaks through the connection that asked for it, and never touches this process's
terminal, files or programs.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from bastion.actor import Actor
from bastion.app import Services
from bastion.control import Voice
from bastion.errors import Refused
from bastion.inventory import Role
from bastion.policy import Identity
from cli.asking import request
from cli.audit import own_audit
from cli.certificates import certificates
from cli.desk import Desk
from cli.destinations import hosts
from cli.exporting import export_away
from cli.files import files
from cli.grants import extend, give_back, grants, review, revoke
from cli.holding import hold, holds, release
from cli.output import Output
from cli.own import cert, overview, status, trust
from cli.person import SignedIn
from cli.policy import own_policy
from cli.replaying import replay_away
from cli.requests import approve, cancel, deny, requests
from cli.search import search
from cli.sessions import kill, sessions
from cli.show import show, show_asked
from cli.transcripts import transcript_away
from cli.verb import Noun, Verb, run
from cli.verifying import verify_away
from cli.watching import watch_away

PROGRAM = "ssh bastion"


@click.command(
    "help",
    cls=Verb,
    short_help="What you can do here.",
    examples=["[program] help", "[program] help cert", "[program] help policy test"],
)
@click.argument("words", nargs=-1, metavar="[VERB]…")
@click.pass_context
def explain(ctx: click.Context, *, words: tuple[str, ...]) -> None:
    """What you can do here; ssh keeps `--help` behind a host's name for itself."""
    root = ctx.find_root()
    with ExitStack() as stack:
        about = root
        for word in words:
            name, found, _ = _verbs_of(about).resolve_command(about, [word])
            assert found is not None  # noqa: S101 (it raises what is no verb)
            inner = click.Context(found, parent=about, info_name=name)
            about = stack.enter_context(inner)
        root.obj.output.line(about.get_help())


def _verbs_of(context: click.Context) -> click.Group:
    """The group that a context belongs to. Raises UsageError where its verb has none below it."""
    if not isinstance(context.command, click.Group):
        raise click.UsageError(f"There is nothing below {context.info_name}.", context)
    return context.command


EVERYBODY = (status, hosts, cert, trust, explain)
"""What anybody who has signed in may run: each tells only of oneself."""

_APPROVERS = (requests, approve, deny, grants, show_asked, extend, revoke)
_AUDITORS = (
    *(sessions, show, files, transcript_away, search),
    *(replay_away, watch_away, export_away, verify_away),
    *(grants, certificates),
    *(requests, review, own_policy, own_audit),
    *(hold, release, holds),
)

BY_ROLE: dict[Role, tuple[click.Command, ...]] = {
    Role.CONTRACTOR: (request, cancel, give_back),
    Role.APPROVER: _APPROVERS,
    Role.AUDITOR: _AUDITORS,
    Role.ADMIN: (*_APPROVERS, *_AUDITORS, kill),
}
"""What else each role may run. Where two have a verb of one name, the later one's counts."""


class ControlPlane:
    """Implements `bastion.control.Control` with the verbs of the command line."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def run(self, identity: Identity, words: Sequence[str], voice: Voice) -> int:
        """Run `words` for `identity`, and return the exit status."""
        output = Output(
            voice.out,
            voice.err,
            voice.terminal,
            colour=voice.colour,
            window=voice.columns,
            binary=voice.data,
            taken=lambda: voice.taken and voice.answers,
            watched=voice.terminal,
        )
        user, source = identity.user.name, identity.source
        actor = Actor(user, source, key=identity.key, signed_in_at=identity.signed_in_at)
        person = SignedIn(voice, lambda: self._demand_as_before(identity))
        desk = Desk(PROGRAM, output, actor, self._entered, identity, person=person)
        return run(verbs_for(identity.user.roles), words, desk)

    def _demand_as_before(self, identity: Identity) -> None:
        """Whoever waits for long may have lost a role meanwhile. Raises Refused."""
        user = self._services.store.user(identity.user.name)
        if user is None or user.roles != identity.user.roles:
            raise Refused("Your roles have changed meanwhile: run it again.")

    @contextmanager
    def _entered(self, _: Path | None) -> Iterator[Services]:
        yield self._services


def verbs_for(roles: frozenset[Role]) -> Noun:
    """The verbs that somebody with these roles may run; alone it tells who one is."""
    group = Noun(
        PROGRAM,
        callback=overview.callback,
        invoke_without_command=True,
        help=overview.help,
    )
    for verb in (*EVERYBODY, *(verb for role in Role if role in roles for verb in BY_ROLE[role])):
        group.add_command(verb)
    return group
