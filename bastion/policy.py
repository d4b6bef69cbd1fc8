"""The three doors, as pure functions: may_reach, may_login, may_run.

Each door narrows what the one before handed on, and hands on a proof: a value that only it can
make. The code behind a door accepts nothing less. No is an answer, `Denial`: one calm sentence
for the person, and the reason for the log. Time arrives as an argument; nothing is looked up.

    Knock ─may_reach─▶ Reach ─may_login─▶ Permit ─may_run─▶ Run
"""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from enum import StrEnum

from bastion import commands
from bastion.denials import Denial, Reason, allowed, no_certificate, nothing_there, over
from bastion.errors import BadInput
from bastion.files import Files
from bastion.grants import Certificate, Grant, covered
from bastion.inventory import Host, PublicKey, User
from bastion.scp.command import ScpRun, recognise
from bastion.templates import Template, matching
from recorder import Direction


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in, with which key: made when authentication completes, from that key.

    `signed_in_at` is when that was; a verb on a connection that is kept open has the old time.
    `called` is the name that was typed, where it is nobody's: it makes no difference.
    """

    user: User
    key: PublicKey
    source: str
    signed_in_at: datetime | None = field(default=None, compare=False)
    called: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Knock:
    """Somebody asks for `host:port`; `host` is None where the inventory has no such name."""

    identity: Identity
    asked: str
    host: Host | None
    port: int
    grants: Sequence[Grant]
    certificates: Sequence[Certificate]


class Mode(StrEnum):
    """What a channel is to be."""

    SHELL = "shell"
    EXEC = "exec"
    SUBSYSTEM = "subsystem"
    FORWARD = "forward"


NO_COMMAND = "/bin/false"
"""What the certificate for forwards makes of any command."""

SFTP = "internal-sftp"
"""What the certificate for files makes of any command: sshd's own server, which runs no rc file."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A start request (RFC 4254 section 6.5): `command` for exec, the name for a subsystem.

    `terminal` is whether a pty was asked for before it. A forward (section 7.2) is asked for by
    where it leads, `to`: a host as the client names it, and a port.
    """

    mode: Mode
    command: bytes = b""
    terminal: bool = False
    to: tuple[str, int] = ("", 0)


_DOOR = object()
"""What a proof must show to be made; it stays in this room."""


@dataclass(frozen=True, slots=True)
class _Proof:
    """A value that is made by a door in this room, or not at all.

    What a door shows is not kept, so that no proof can be turned into another by `replace`.
    """

    door: InitVar[object]

    def __post_init__(self, door: object) -> None:
        if door is not _DOOR:
            raise TypeError("a proof is made by its door, see bastion.policy")


@dataclass(frozen=True, slots=True)
class Reach(_Proof):
    """Door 1's proof: `identity` may reach `host` by `grants`, asked for as `asked`."""

    identity: Identity
    host: Host
    asked: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Permit(_Proof):
    """Door 2's proof: as `login` on `host`, by `grants`."""

    identity: Identity
    host: Host
    login: str
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Run(_Proof):
    """Door 3's proof: this and nothing else, by `grant`.

    `argv` is None where the grant gives a shell; then `ask` goes to the target as it came. Where
    there are `files`, these may be moved by SFTP, and nothing is run; `scp` is what a client that
    does not speak it asked for instead.
    """

    identity: Identity
    host: Host
    login: str
    grant: Grant
    ask: Ask
    argv: tuple[str, ...] | None = None
    files: tuple[Files, ...] = ()
    scp: ScpRun | None = None

    @property
    def watched(self) -> bool:
        """Whether it may go on only while somebody watches."""
        return self.grant.watch

    @property
    def fits(self) -> bool:
        """Whether what is known of a transfer is granted; the rest is judged file by file."""
        return self.scp is None or any(f.direction is self.scp.direction for f in self.files)

    @property
    def forced(self) -> str | None:
        """The command line that the target's certificate must force, or None for a shell grant."""
        if self.ask.mode is Mode.FORWARD:
            return NO_COMMAND
        if self.files:
            writes = any(f.direction is Direction.WRITE for f in self.files)
            return SFTP if writes else f"{SFTP} -R"
        return None if self.argv is None else str(commands.Command(self.argv))

    @property
    def terminal(self) -> bool:
        """Whether there may be a pty at the target: with a shell, or by a template that has it."""
        return self.forced is None or (self.argv is not None and self.ask.terminal)

    @property
    def there(self) -> Mode:
        """What the channel at the target is to be."""
        return Mode.SUBSYSTEM if self.files else self.ask.mode

    @property
    def command(self) -> bytes:
        """What goes to the target: the words that were judged, or with a shell what came in."""
        if self.files:
            return b"sftp"
        return self.ask.command if self.forced is None else self.forced.encode()


def may_reach(knock: Knock, now: datetime) -> Reach | Denial:
    """Door 1, at direct-tcpip. Unknown and forbidden hosts sound alike."""
    identity, host = knock.identity, knock.host
    if not identity.user.may_sign_in(now):
        return Denial(Reason.USER_CLOSED, "your account is closed; ask whoever invited you.")
    if host is None or knock.port not in (22, host.port):
        return nothing_there(Reason.UNKNOWN_HOST, knock.asked)
    mine = [g for g in knock.grants if g.user == identity.user.name and g.covers(host)]
    if not mine:
        return nothing_there(Reason.NO_GRANT, knock.asked)
    active = [g for g in mine if g.usable(now)]
    if not active:
        return over(mine, now)
    near = [g for g in active if g.usable_from(identity.source)]
    if not near:
        return Denial(Reason.SOURCE, f"{active[0]} can't be used from {identity.source}.")
    shown = [g for g in near if identity.key.hardware or not g.hardware]
    if not shown:
        sentence = f"{near[0]} takes a hardware key: sign in with yours (ssh-keygen -t ed25519-sk)."
        return Denial(Reason.HARDWARE, sentence)
    counted = covered(knock.certificates, now)
    certified = tuple(g for g in shown if g.id in counted)
    if not certified:
        return no_certificate(shown[0], knock.certificates, now)
    return Reach(_DOOR, identity, host, knock.asked, certified)


def may_login(reach: Reach, login: str, now: datetime) -> Permit | Denial:
    """Door 2, at the inner user name."""
    active = [g for g in reach.grants if g.usable(now)]
    if not active:
        return over(reach.grants, now)
    grants = tuple(g for g in active if login in g.logins)
    if grants:
        return Permit(_DOOR, reach.identity, reach.host, login, grants)
    logins = sorted(frozenset().union(*(g.logins for g in active)))
    tries = " or ".join(f"ssh -J bastion {name}@{reach.asked}" for name in logins[:3])
    return Denial(Reason.LOGIN, f"that login is not granted on {reach.asked}; try {tries}")


def may_run(permit: Permit, ask: Ask, now: datetime) -> Run | Denial:
    """Door 3, at shell, exec, subsystem and forward.

    Of several grants, the one that lasts longest is used. That counts the hours: one that ends
    later may close sooner. One that somebody has to watch is used only where no other will do;
    what it starts has to wait for a watcher (`Run.watched`).
    """
    active = [g for g in permit.grants if g.usable(now)]
    if not active:
        return over(permit.grants, now)
    unwatched = [g for g in active if not g.watch]
    if unwatched and len(unwatched) < len(active):
        run = _may_run(permit, unwatched, ask, now)
        if isinstance(run, Run) and run.fits:
            return run
    return _may_run(permit, active, ask, now)


def _may_run(permit: Permit, active: Sequence[Grant], ask: Ask, now: datetime) -> Run | Denial:
    if ask.mode is Mode.SUBSYSTEM:
        return _may_subsystem(permit, active, ask, now)
    if ask.mode is Mode.FORWARD:
        return _may_forward(permit, active, ask, now)
    shells = [g for g in active if g.allows.shell]
    if shells:
        return _run(permit, _lasting(shells, now), ask, None)
    if ask.mode is Mode.SHELL:
        return Denial(Reason.MODE, f"a shell is not granted here. {allowed(active)}")
    run = _may_exec(permit, active, ask, now)
    return run if isinstance(run, Run) else _may_scp(permit, active, ask, now) or run


def promptable(permit: Permit, now: datetime) -> tuple[Grant, tuple[Template, ...]] | None:
    """What the guided prompt may offer instead of a shell; each line is judged at door 3 anew.

    The grant is the one that lasts longest. None where no command would be let through.
    """
    able = [g for g in permit.grants if g.usable(now) and g.allows.commands]
    if not able or permit.host.shell_type is None:
        return None
    granted = dict.fromkeys(template for g in able for template in g.allows.commands)
    return _lasting(able, now), tuple(granted)


def _may_forward(permit: Permit, active: Sequence[Grant], ask: Ask, now: datetime) -> Run | Denial:
    """By the name and the port that the client asks for: a shell brings no forward with it."""
    leading = [g for g in active if any(f.matches(*ask.to) for f in g.allows.forwards)]
    if leading:
        return _run(permit, _lasting(leading, now), ask, None)
    granted = sorted({str(f) for g in active for f in g.allows.forwards})
    named = f"granted here: {', '.join(granted[:3])}" if granted else "none is granted here"
    return Denial(Reason.FORWARD, f"that forward is not granted; {named}.")


def _may_subsystem(
    permit: Permit, active: Sequence[Grant], ask: Ask, now: datetime
) -> Run | Denial:
    """SFTP is the only one that is known: of another nobody could say what it does."""
    if ask.command != b"sftp":
        return Denial(Reason.MODE, "of subsystems only sftp is granted.")
    moving = [g for g in active if g.allows.sftp]
    if moving:
        return _move(permit, _lasting(moving, now), ask)
    sentence = "files are not granted here, neither for sftp nor for scp."
    instead = "" if any(g.allows.shell for g in active) else f" {allowed(active)}"
    return Denial(Reason.FILES, sentence + instead)


def _may_scp(
    permit: Permit, active: Sequence[Grant], ask: Ask, now: datetime
) -> Run | Denial | None:
    """`scp -O` asks for a program, and is given the files that it would move. None if it isn't."""
    moving = [g for g in active if g.allows.sftp]
    try:
        scp = recognise(ask.command.decode()) if moving else None
    except UnicodeDecodeError:
        return None
    except BadInput as error:
        return Denial(Reason.COMMAND, str(error))
    if scp is None:
        return None
    able = [g for g in moving if any(f.direction is scp.direction for f in g.allows.sftp)]
    return _move(permit, _lasting(able or moving, now), ask, scp)


def _move(permit: Permit, grant: Grant, ask: Ask, scp: ScpRun | None = None) -> Run:
    files = grant.allows.sftp
    who = (permit.identity, permit.host, permit.login)
    return Run(_DOOR, *who, grant, ask, files=files, scp=scp)


def _may_exec(permit: Permit, active: Sequence[Grant], ask: Ask, now: datetime) -> Run | Denial:
    if permit.host.shell_type is None:
        sentence = f"commands can't be run on {permit.host.name}: its shell type is not known."
        return Denial(Reason.SHELL_TYPE, sentence)
    try:
        argv = commands.parse(ask.command.decode()).argv
    except UnicodeDecodeError:
        return Denial(Reason.COMMAND, "the command is not UTF-8 text.")
    except BadInput as error:
        return Denial(Reason.COMMAND, str(error))
    letting = [(g, template) for g in active for template in matching(g.allows.commands, argv)]
    if not letting:
        return Denial(Reason.COMMAND, f"that command is not granted here. {allowed(active)}")
    allowing = [g for g, template in letting if template.tty or not ask.terminal]
    if not allowing:
        sentence = "a terminal is not granted with that command: on one, a pager can start a shell."
        return Denial(Reason.TERMINAL, f"{sentence} Leave -t away.")
    return _run(permit, _lasting(allowing, now), ask, argv)


def _run(permit: Permit, grant: Grant, ask: Ask, argv: tuple[str, ...] | None) -> Run:
    return Run(_DOOR, permit.identity, permit.host, permit.login, grant, ask, argv)


def _lasting(grants: Sequence[Grant], now: datetime) -> Grant:
    """The one by which a session that begins now goes on for longest."""
    return max(grants, key=lambda grant: (grant.closes_at(now), grant.ends_at))
