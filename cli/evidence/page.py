"""The page of a pack: all of it to be read offline, and printed. Pure; it comes in pieces.

No script, no network, nothing from elsewhere: one file. What is long is cut, and then it says in
which file of the pack all of it stands.
"""

from collections.abc import Iterable, Iterator
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
from cli.evidence.facts import Facts
from cli.evidence.markup import Html, joined, lines, link, said, tag
from cli.evidence.parts import Row, cut, hash_of, properties, table
from cli.evidence.readme import verifying
from cli.evidence.rules import rule_text
from cli.evidence.sections import Told, of_sessions
from cli.evidence.style import STYLE
from cli.evidence.words import first_lines, not_proved, proved
from cli.evidence.words import said as at_second
from recorder.nouns import counted

MOST_EVENTS: Final = 2000
MOST_ROWS: Final = 500
"""Of certificates, and of connections."""

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


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
    yield from of_sessions(facts, told)
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
    return joined([tag("table", tag("tbody", *rows)), cut(left, "event", "events.jsonl")])


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
        (each.at, each.by, each.source, hash_of(each.fingerprint), said(each.comment or ""))
        for each in request.approvals
    ]
    columns = ("agreed", "who", "from", "key", "comment")
    return joined([properties(facts), table(columns, approvals) if approvals else None])


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
            properties(
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


def _signed(dossier: Dossier) -> Iterator[Html]:
    certificates = [
        (
            each.serial,
            "the user's" if each.kind is Kind.USER else f"for C-{each.connection} to {each.host}",
            said(each.key_id),
            each.valid_after,
            each.valid_before,
            hash_of(each.sha256),
        )
        for each in dossier.certificates
    ]
    columns = ("serial", "certificate", "key id", "from", "until", "sha256")
    yield table(columns, certificates[:MOST_ROWS])
    yield cut(len(certificates) - MOST_ROWS, "certificate", "certificates.json")
    jumps = [
        (str(each), each.host, each.source, said(each.client_version), *_span(each))
        for each in dossier.connections
    ]
    if jumps:
        heads = ("connection", "host", "from", "client", "began", "ended")
        yield table(heads, jumps[:MOST_ROWS])
        yield cut(len(jumps) - MOST_ROWS, "connection", "connections.json")


def _span(jump: Jump) -> tuple[object, object]:
    return jump.started_at, jump.ended_at or "it goes on"


def _people(dossier: Dossier) -> Html:
    rows: list[Row] = []
    for name, user in dossier.people:
        if user is None:
            rows.append((name, "no user: the service, an account of the machine", "", ""))
            continue
        keys = joined(tag("div", hash_of(key.fingerprint)) for key in user.keys)
        state = shapes.user_state(user, dossier.at)
        rows.append((name, state, tuple(sorted(user.roles)), keys))
    note = f"As they are now, {at_second(dossier.at)}."
    return joined([tag("p", note, class_="quiet"), table(("who", "state", "roles", "keys"), rows)])


def _steps(facts: Facts) -> Iterator[Html]:
    """The steps of README.txt: what is indented there is to be typed."""
    for step in verifying(facts):
        words, _, commands = step.partition("\n\n    ")
        yield tag("p", " ".join(words.split()))
        if commands:
            yield tag("pre", lines(commands.replace("\n    ", "\n")))
