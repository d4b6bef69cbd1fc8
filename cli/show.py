"""`bastion-admin show ID`: one thing of any kind, found by the shape of its name."""

import click

from bastion import names
from bastion.errors import BadInput, NotFound
from bastion.grants import Grant
from bastion.ledger import Entry
from bastion.retention import Hold
from bastion.store.ledger import Wanted as WantedCertificates
from cli import lookup, shapes
from cli.beside import Beside, beside
from cli.desk import Desk
from cli.hosts import tell_host
from cli.listing import as_json, described
from cli.output import shown
from cli.requests import tell_request
from cli.sessions import how_let_go, lasted, wanted_session
from cli.users import tell_user
from cli.verb import Verb
from recorder import Session, WantedFiles
from recorder.session import Compaction

MOST_FILES = 20
"""So many of a session's files are shown with it."""


@click.command(
    cls=Verb,
    short_help="One session, request, grant, certificate, …",
    examples=[
        "[program] show S-31",
        "[program] show G-7 --json",
        "[program] show alice",
    ],
)
@click.argument("what", metavar="ID")
@as_json
@click.pass_obj
def show(desk: Desk, *, what: str, json: bool) -> None:
    """One thing: a session S-31, a request R-12, a grant G-7, a connection C-31, a certificate by
    its serial, a user or a host by name."""
    prefix, dash, digits = what.strip().upper().partition("-")
    tellers = {"S": _session, "R": tell_request, "G": _grant, "C": _connection}
    if dash and digits.isdecimal() and prefix in tellers:
        tellers[prefix](desk, names.numbered(prefix, what), json)
    elif what.strip().isdecimal():
        _certificate(desk, names.numbered("", what), json)
    else:
        _named(desk, what, json)


@click.command(
    "show",
    cls=Verb,
    short_help="One request or grant.",
    examples=["[program] show R-12", "[program] show G-7 --json"],
)
@click.argument("what", metavar="ID")
@as_json
@click.pass_obj
def show_asked(desk: Desk, *, what: str, json: bool) -> None:
    """One thing that approvers decide: a request R-12, a grant G-7."""
    prefix, dash, digits = what.strip().upper().partition("-")
    tellers = {"R": tell_request, "G": _grant}
    if not (dash and digits.isdecimal() and prefix in tellers):
        raise BadInput(f"{what[:60]!a} names nothing that is decided: write R-12 or G-7.")
    tellers[prefix](desk, names.numbered(prefix, what), json)


def _named(desk: Desk, what: str, json: bool) -> None:
    services = desk.services
    try:
        name = names.host_name(what)
    except BadInput:
        raise BadInput(
            f"{what[:60]!a} names nothing: write S-31, R-12, G-7, a user or a host."
        ) from None
    person, host = services.store.user(name), services.store.host(name)
    if person is not None and host is not None:
        desk.output.note(f"{name} is a user and a host; this is the user.")
    if person is not None:
        tell_user(desk, person, json)
    elif host is not None:
        tell_host(desk, host, json)
    else:
        known = [each.name for each in services.store.users()]
        known += [alias for each in services.store.hosts() for alias in each.names]
        raise NotFound(f"There is no user or host {name}.{lookup.nearest(name, known)}")


def _session(desk: Desk, number: int, json: bool) -> None:
    session = wanted_session(desk.services, number)
    known = beside(desk.services, [session])[number]
    about = [*_about_session(session, known), *_kept(desk, session, known), *_files(desk, session)]
    described(desk, json, shapes.session(session, known), about)


def _kept(desk: Desk, session: Session, known: Beside) -> list[tuple[str, object]]:
    """How long its recording is kept and who holds it; or that it is gone."""
    services = desk.services
    if session.recording.let_go_at is not None:
        return [("let go", how_let_go(services, session))]
    holds = services.keeping.holds(session=session.id) if known.held else []
    holds += services.keeping.holds(grant=session.grant) if known.held else []
    held = [_held(each) for each in holds]
    kept = None if session.live else known.kept_until or "for ever"
    return [("kept until", kept), *held]


def _held(hold: Hold) -> tuple[str, object]:
    return ("held", f"{hold.name} by {hold.by}: {hold.reason}")


def _files(desk: Desk, session: Session) -> list[tuple[str, object]]:
    """The newest of those that went over, the last one last."""
    wanted = WantedFiles(session=session.id)
    rows = desk.services.index.files.find(wanted, limit=MOST_FILES + 1)
    lines = [row.event.line() for row in reversed(rows[:MOST_FILES])]
    if len(rows) > MOST_FILES:
        lines.insert(0, f"all of them: {desk.program} files --session {session.name}")
    return [("" if number else "files", line) for number, line in enumerate(lines)]


def _about_session(session: Session, known: Beside) -> list[tuple[str, object]]:
    recording, kill = session.recording, known.kill
    return [
        ("session", session.name),
        ("connection", f"C-{session.connection}"),
        ("user", session.user),
        ("grant", f"G-{session.grant}"),
        ("host", session.host),
        ("login", session.login),
        ("kind", session.kind),
        ("command", session.command),
        ("source", session.source),
        ("began", session.started_at),
        ("ended", session.ended_at or "live"),
        ("lasted", lasted(session)),
        ("end", session.end_reason),
        ("waits for", "somebody who watches" if known.waits else None),
        ("watched by", known.names),
        ("ended by", None if kill is None else kill.by),
        ("ended for", None if kill is None else kill.reason),
        ("exit status", session.exit_status),
        ("exit signal", session.exit_signal),
        ("bytes in", None if session.live else session.bytes_in),
        ("bytes out", None if session.live else session.bytes_out),
        ("recording", recording.path),
        ("sha256", recording.sha256),
        ("size", recording.size or None),
        ("events", recording.events or None),
        ("sealed", recording.sealed),
        (
            "encrypted size" if recording.compaction is Compaction.ENCRYPTED else "compacted to",
            recording.compacted_size,
        ),
    ]


def _grant(desk: Desk, number: int, json: bool) -> None:
    services = desk.services
    grant = services.store.grant(number)
    if grant is None:
        raise NotFound(f"There is no grant G-{number}: {desk.program} grants lists them.")
    now = services.clock.now()
    held = [] if json else [_held(each) for each in services.keeping.holds(grant=number)]
    about = [*_about_grant(grant, str(grant.state(now))), *held]
    described(desk, json, shapes.grant(grant, now), about)


def _about_grant(grant: Grant, state: str) -> list[tuple[str, object]]:
    return [
        ("grant", str(grant)),
        ("user", grant.user),
        ("state", state),
        ("hosts", tuple(map(str, grant.hosts))),
        ("logins", grant.logins),
        ("allows", shapes.allows(grant.allows)),
        ("from", grant.starts_at),
        ("until", grant.ends_at),
        ("hours", grant.window),
        ("sources", tuple(map(str, grant.sources))),
        ("keys", "hardware" if grant.hardware else None),
        ("watched", "only while an auditor watches" if grant.watch else None),
        ("reason", grant.reason),
        ("ticket", grant.ticket),
        ("request", None if grant.request is None else f"R-{grant.request}"),
        ("granted by", grant.granted_by),
        ("granted", grant.granted_at),
        ("approved by", grant.approved_by),
        ("rule", "none was asked (--override)" if grant.override else grant.rule),
        ("policy", grant.policy),
        ("break-glass", _review(grant)),
        ("revoked", grant.revoked_at),
        ("revoked by", grant.revoked_by),
        ("revoked for", grant.revoke_reason),
    ]


def _review(grant: Grant) -> str | None:
    if not grant.emergency:
        return None
    if grant.reviewed_at is None:
        return "open for review"
    return f"reviewed by {grant.reviewed_by} at {shown(grant.reviewed_at)}: {grant.review_comment}"


def _connection(desk: Desk, number: int, json: bool) -> None:
    services = desk.services
    jump = services.store.connection(number)
    if jump is None:
        raise NotFound(f"There is no connection C-{number}.")
    described(
        desk,
        json,
        shapes.connection(jump),
        [
            ("connection", str(jump)),
            ("user", jump.user),
            ("host", jump.host),
            ("login", jump.login),
            ("certificate", jump.certificate),
            ("key", jump.fingerprint),
            ("source", jump.source),
            ("client", jump.client_version),
            ("began", jump.started_at),
            ("ended", jump.ended_at or "live"),
        ],
    )


def _certificate(desk: Desk, serial: int, json: bool) -> None:
    services = desk.services
    found = services.store.ledger(WantedCertificates(), limit=1, before=serial + 1)
    if not found or found[0].serial != serial:
        raise NotFound(f"There is no certificate {serial}: {desk.program} certificates lists them.")
    entry, now = found[0], services.clock.now()
    state = shapes.certificate_state(entry, now)
    described(desk, json, shapes.certificate(entry, now), _about_certificate(entry, state))


def _about_certificate(entry: Entry, state: str) -> list[tuple[str, object]]:
    return [
        ("certificate", entry.serial),
        ("kind", entry.kind),
        ("user", entry.user),
        ("state", state),
        ("grants", [f"G-{number}" for number in sorted(entry.grants)]),
        ("key id", entry.key_id),
        ("principals", entry.principals),
        ("from", entry.valid_after),
        ("until", entry.valid_before),
        ("key", entry.fingerprint),
        ("sha256", entry.sha256),
        ("host", entry.host),
        ("source", entry.source),
        ("revoked", entry.revoked_at),
        ("revoked by", entry.revoked_by),
        ("revoked for", entry.revoke_reason),
    ]
