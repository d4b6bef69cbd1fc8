"""The page of a pack: all of it to be read offline, and printed. Pure; it comes in pieces.

No script, no network, nothing from elsewhere: one file. What is long is cut, and then it says in
which file of the pack all of it stands.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final

from bastion.dossier import Dossier
from bastion.durations import format_duration
from bastion.events import Event
from bastion.jumps import Jump
from bastion.ledger import Kind
from bastion.requests import Request
from bastion.sentences import sentence
from cli import shapes
from cli.evidence.facts import Facts, Held
from cli.evidence.markup import Html, joined, lines, link, said, tag
from cli.evidence.readme import verifying
from cli.evidence.rules import rule_text
from cli.evidence.style import STYLE
from cli.evidence.words import counted, first_lines, not_proved, proved
from cli.evidence.words import said as at_second
from cli.sessions import lasted
from recorder import FileRow, Session

MOST_EVENTS: Final = 2000
MOST_SESSIONS: Final = 500
MOST_FILES: Final = 200
MOST_FILES_IN_ALL: Final = 2000
"""Of one session, and of all of them."""
MOST_LINES: Final = 400
MOST_LINES_IN_ALL: Final = 10_000
"""Of the transcript of one session, and of all of them."""
MOST_ROWS: Final = 500
"""Of certificates, and of connections."""

LONGEST: Final = 2000
"""Characters of a command line."""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

Row = Sequence[object]


@dataclass(frozen=True, slots=True)
class Told:
    """What the page is told beside the facts: the events; the files of a session; and what it
    showed, as lines of text."""

    events: Iterable[Event]
    files: Callable[[Held], Iterable[FileRow]]
    shown: Callable[[Held], Iterable[str]]


def page(facts: Facts, told: Told) -> Iterator[bytes]:
    """The page, in pieces."""
    yield b'<!DOCTYPE html>\n<html lang="en">\n'
    yield from map(_encoded, (_head(facts), Html("<body>\n<main>\n"), _top(facts)))
    yield from map(_encoded, _sections(facts, told))
    yield b"</main>\n</body>\n</html>\n"


def _encoded(html: Html) -> bytes:
    return f"{html}\n".encode("utf-8", "backslashreplace")


def _head(facts: Facts) -> Html:
    dossier = facts.dossier
    name = f"Evidence of {facts.name}: {dossier.grant.user}, {dossier.at:%Y-%m-%d}"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", name),
        tag("style", Html(STYLE)),
    )


# The top


def _top(facts: Facts) -> Html:
    dossier = facts.dossier
    grant = dossier.grant
    hosts = ", ".join(map(str, grant.hosts))
    heading = f"{facts.name}: {grant.user} on {hosts} as {', '.join(sorted(grant.logins))}"
    return tag(
        "header",
        tag("p", "Evidence", class_="kicker"),
        tag("h1", heading),
        tag("p", said(grant.reason), _ticket(grant.ticket), class_="lead"),
        tag(
            "p",
            f"As of {at_second(dossier.at)}, packed by {facts.by} on the bastion {facts.node}.",
            class_="quiet",
        ),
        _verdict(facts),
        tag("nav", *(link(name, f"#{place}") for place, name in _PLACES)),
    )


_PLACES: Final = (
    ("story", "What happened"),
    ("asked", "Asked and agreed"),
    ("sessions", "Sessions"),
    ("signed", "Certificates"),
    ("people", "People"),
    ("proved", "What is proved, and what is not"),
    ("verify", "How to verify it"),
)


def _ticket(ticket: str | None) -> Html | None:
    return None if ticket is None else tag("span", joined([" (", said(ticket), ")"]))


def _verdict(facts: Facts) -> Html:
    wrong = facts.found()
    rest = [line for line in first_lines(facts) if not line.startswith("WRONG: ")]
    sealed = sum(held.sound for held in facts.held)
    sound = (
        "When this was packed, nothing was found changed, missing or added: "
        f"{counted(sealed, 'recording')} as sealed, {counted(len(facts.proof.events), 'event')}."
    )
    return joined(
        [
            tag("div", *(tag("p", each) for each in wrong), class_="verdict wrong")
            if wrong
            else tag("div", tag("p", sound), class_="verdict good"),
            tag("div", *(tag("p", each) for each in rest), class_="verdict care") if rest else None,
        ]
    )


# The sections


def _sections(facts: Facts, told: Told) -> Iterator[Html]:
    dossier = facts.dossier
    yield tag("h2", "What happened", id="story")
    yield _story(facts, told.events)
    yield tag("h2", "Asked and agreed", id="asked")
    yield from map(_request, dossier.requests)
    yield _granted(dossier)
    yield from _rules(dossier)
    yield tag("h2", "Sessions", id="sessions")
    yield from _sessions(facts, told)
    yield tag("h2", "Certificates and connections", id="signed")
    yield from _signed(dossier)
    yield tag("h2", "People", id="people")
    yield _people(dossier)
    yield tag("h2", "What is proved", id="proved")
    yield tag("ul", *(tag("li", each) for each in proved(facts)))
    yield tag("h3", "What is not proved")
    yield tag("ul", *(tag("li", each) for each in not_proved(facts)))
    yield tag("h2", "How to verify it", id="verify")
    yield from _steps(facts)


def _story(facts: Facts, events: Iterable[Event]) -> Html:
    """What happened, in the order in which it was told, by days."""
    here = {held.session.id for held in facts.held}
    unsealed = {*facts.proof.unsealed, *facts.proof.unlisted}
    rows: list[Html] = []
    for day, of_day in groupby(islice(events, MOST_EVENTS), key=lambda e: f"{e.at:%A, %Y-%m-%d}"):
        rows.append(tag("tr", tag("th", f"{day} (UTC)", colspan="3"), class_="day"))
        rows += [_event(event, here, unsealed) for event in of_day]
    left = len(facts.proof.events) - MOST_EVENTS
    return joined([tag("table", tag("tbody", *rows)), _cut(left, "event", "events.jsonl")])


def _event(event: Event, here: set[int], unsealed: set[int]) -> Html:
    session = event.happened.session
    to = link(f"S-{session}", f"#S-{session}") if session in here else None
    place = None if to is None else tag("span", to, class_="to")
    loose = tag("span", "not sealed", class_="mark care") if event.id in unsealed else None
    return tag(
        "tr",
        tag("td", f"{event.at:%H:%M:%S}", class_="at"),
        tag("td", said(sentence(event)), " ", loose, " ", place),
        tag("td", f"event {event.id}", class_="id"),
    )


def _request(request: Request) -> Html:
    duration = format_duration(request.duration)
    longer = f"asked that G-{request.extends} last {duration} longer"
    asked = f"asked for {duration}" if request.extends is None else longer
    facts = [
        (str(request), f"{request.asked_by} {asked}"),
        ("asked", request.asked_at),
        ("from", request.source),
        ("for", request.user if request.user != request.asked_by else None),
        ("hosts", tuple(map(str, request.hosts))),
        ("logins", request.logins),
        ("allows", said(shapes.allows(request.allows))),
        ("reason", said(request.reason)),
        ("ticket", request.ticket and said(request.ticket)),
        ("rule", request.rule and said(request.rule)),
        ("decided", _decided(request)),
        ("comment", request.comment and said(request.comment)),
    ]
    approvals = [
        (each.at, each.by, each.source, _hash(each.fingerprint), said(each.comment or ""))
        for each in request.approvals
    ]
    columns = ("agreed", "who", "from", "key", "comment")
    return joined([_facts(facts), _table(columns, approvals) if approvals else None])


def _decided(request: Request) -> str | None:
    if request.decision is None:
        return None
    return f"{request.decision} by {request.decided_by}"


def _granted(dossier: Dossier) -> Html:
    grant = dossier.grant
    ended = f"by {grant.revoked_by}: {grant.revoke_reason}" if grant.revoked_at else None
    return joined(
        [
            tag("h3", f"What {grant} allowed"),
            _facts(
                [
                    ("user", grant.user),
                    ("hosts", tuple(map(str, grant.hosts))),
                    ("logins", grant.logins),
                    ("allows", said(shapes.allows(grant.allows))),
                    ("from", grant.starts_at),
                    ("until", grant.ends_at),
                    ("hours", grant.window and str(grant.window)),
                    ("only from", tuple(map(str, grant.sources))),
                    ("given", grant.granted_at),
                    ("given by", grant.granted_by),
                    ("approved by", grant.approved_by),
                    ("by the rule", "none was asked (override)" if grant.override else grant.rule),
                    ("break-glass", "yes" if grant.emergency else None),
                    ("reviewed", grant.reviewed_at),
                    ("review", grant.review_comment and said(grant.review_comment)),
                    ("state", grant.state(dossier.at)),
                    ("revoked", grant.revoked_at),
                    ("revoked", ended and said(ended)),
                ]
            ),
        ]
    )


def _rules(dossier: Dossier) -> Iterator[Html]:
    """The rule that fitted, and where all of them stand."""
    grant = dossier.grant
    for kept in dossier.policies:
        fitted = grant.rule is not None and kept.version == grant.policy
        found = rule_text(kept.text, grant.rule or "") if fitted else None
        if found is not None:
            yield tag("h3", "The rule that fitted")
            yield tag("pre", lines(found))
        file = link(f"policy/{kept.version[:12]}….toml", f"policy/{kept.version}.toml")
        since = f" was put in force by {kept.by} at {at_second(kept.at)}."
        yield tag("p", file, since, class_="quiet")


def _sessions(facts: Facts, told: Told) -> Iterator[Html]:
    if not facts.held:
        yield tag("p", "There were none.", class_="quiet")
    rows, lines_left = MOST_FILES_IN_ALL, MOST_LINES_IN_ALL
    for held in facts.held[:MOST_SESSIONS]:
        most = min(rows, MOST_FILES)
        files = list(islice(told.files(held), most + 1))
        rows -= min(len(files), most)
        longest = min(lines_left, MOST_LINES)
        shown = list(islice(told.shown(held), longest + 1))
        lines_left -= min(len(shown), longest)
        yield _session(held, _files(files, most), _shown(held, shown, longest))
    yield _cut(len(facts.held) - MOST_SESSIONS, "session", "sessions.json")


def _session(held: Held, files: Html | None, shown: Html | None) -> Html:
    session = held.session
    kind = "wrong" if held.findings else "good" if held.sound else "care"
    status = session.exit_signal if session.exit_status is None else session.exit_status
    ended = "it goes on" if session.live else session.end_reason
    kill = held.beside.kill
    seal = held.kept and f"manifest {held.kept.number}, sealed {at_second(held.kept.at)}"
    return tag(
        "section",
        tag("h3", session.name, " ", tag("span", held.standing, class_=f"mark {kind}")),
        *(tag("p", finding.sentence, class_="verdict wrong") for finding in held.findings),
        _facts(
            [
                ("what", f"{session.kind} at {session.host} as {session.login}"),
                ("command", session.command and tag("code", said(_short(session.command)))),
                ("from", f"{session.source}, C-{session.connection}"),
                ("began", session.started_at),
                ("ended", session.ended_at),
                ("lasted", lasted(session)),
                ("how it ended", ended),
                ("ended by", kill and said(f"{kill.by}: {kill.reason}")),
                ("exit", status),
                ("shown", f"{session.bytes_out} bytes"),
                ("sent", f"{session.bytes_in} bytes"),
                ("recording", None if held.laid else _recording(session)),
                ("seal", seal),
            ]
        ),
        shown,
        files,
        class_="session",
        id=session.name,
    )


def _shown(held: Held, shown: Sequence[str], most: int) -> Html | None:
    """The beginning of what a session showed."""
    if not shown:
        return None
    file = f"transcripts/{held.session.name}.txt"
    what = "What it showed, as text; the evidence is the recording."
    more = tag("p", "There is more: ", link(file, file), " has all.", class_="quiet")
    screen = tag("pre", lines("\n".join(shown[:most])), class_="screen")
    return joined(
        [
            tag("p", what, class_="quiet"),
            screen if most else None,
            more if len(shown) > most else None,
        ]
    )


def _recording(session: Session) -> Html:
    """Where it lies in the pack, and its hash."""
    name = session.recording.path.rpartition("/")[2]
    return joined([link(name, f"recordings/{name}"), " ", _hash(session.recording.sha256)])


def _files(rows: Sequence[FileRow], most: int) -> Html | None:
    """The first files of a session, and that there are more."""
    if not rows:
        return None
    columns = ("file", "#bytes", "sha256", "result")
    cells = [
        (_path(row), row.event.bytes, _hash(row.event.sha256), said(row.event.result))
        for row in rows[:most]
    ]
    every = link("files.csv", "files.csv")
    more = tag("p", "There are more files: ", every, " has all.", class_="quiet")
    return joined([_table(columns, cells), more if len(rows) > most else None])


def _path(row: FileRow) -> Html:
    shape = shapes.file(row)
    other = shape["other"]
    path = tag("code", said(shape["path"]))
    to = None if other is None else joined([" to ", tag("code", said(other))])
    return joined([row.event.operation, " ", path, to])


def _signed(dossier: Dossier) -> Iterator[Html]:
    certificates = [
        (
            each.serial,
            "the user's" if each.kind is Kind.USER else f"for C-{each.connection} to {each.host}",
            said(each.key_id),
            each.valid_after,
            each.valid_before,
            _hash(each.sha256),
        )
        for each in dossier.certificates
    ]
    columns = ("serial", "certificate", "key id", "from", "until", "sha256")
    yield _table(columns, certificates[:MOST_ROWS])
    yield _cut(len(certificates) - MOST_ROWS, "certificate", "certificates.json")
    jumps = [
        (str(each), each.host, each.source, said(each.client_version), *_span(each))
        for each in dossier.connections
    ]
    if jumps:
        heads = ("connection", "host", "from", "client", "began", "ended")
        yield _table(heads, jumps[:MOST_ROWS])
        yield _cut(len(jumps) - MOST_ROWS, "connection", "connections.json")


def _span(jump: Jump) -> tuple[object, object]:
    return jump.started_at, jump.ended_at or "it goes on"


def _people(dossier: Dossier) -> Html:
    rows: list[Row] = []
    for name, user in dossier.people:
        if user is None:
            rows.append((name, "no user: the service, an account of the machine", "", ""))
            continue
        keys = joined(tag("div", _hash(key.fingerprint)) for key in user.keys)
        state = shapes.user_state(user, dossier.at)
        rows.append((name, state, tuple(sorted(user.roles)), keys))
    note = f"As they are now, {at_second(dossier.at)}."
    return joined([tag("p", note, class_="quiet"), _table(("who", "state", "roles", "keys"), rows)])


def _steps(facts: Facts) -> Iterator[Html]:
    """The steps of README.txt: what is indented there is to be typed."""
    for step in verifying(facts):
        words, _, commands = step.partition("\n\n    ")
        yield tag("p", " ".join(words.split()))
        if commands:
            yield tag("pre", lines(commands.replace("\n    ", "\n")))


# Parts


def _short(command: str) -> str:
    """As much of a command line as one reads; sessions.json has all."""
    return command if len(command) <= LONGEST else f"{command[:LONGEST]}…"


def _facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """A list of properties; one without a value is left out."""
    told = [(name, value) for name, value in pairs if value not in (None, "", (), frozenset())]
    return tag("dl", *(joined([tag("dt", name), tag("dd", value)]) for name, value in told))


def _table(columns: Sequence[str], rows: Iterable[Row]) -> Html:
    """A table; a column whose name begins with # is of numbers."""
    kinds = ["n" if name.startswith("#") else None for name in columns]
    heads = (
        tag("th", name.lstrip("#"), class_=kind) for name, kind in zip(columns, kinds, strict=True)
    )
    body = (
        tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)))
        for row in rows
    )
    return tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body))


def _hash(value: str | None) -> Html | None:
    return None if value is None else tag("span", value, class_="hash")


def _cut(left: int, thing: str, file: str) -> Html:
    if left <= 0:
        return Html("")
    there = joined([f"{counted(left, thing)} more: ", link(file, file), " has all."])
    return tag("p", there, class_="quiet")
