"""The page of a pack: whatever anybody has said in it is text, and nothing else."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.chains import Finding as EventFinding
from bastion.chains import Wrong as EventWrong
from bastion.dossier import Dossier
from bastion.events import START, Chain, Event, Happened, What
from bastion.grants import Grant
from bastion.inventory import PublicKey, Role, User
from bastion.jumps import Jump, Kill
from bastion.ledger import Entry
from bastion.ledger import Kind as Signed
from bastion.proving import Proof
from bastion.requests import Approval, Request
from bastion.store.policies import Kept as Policy
from cli.beside import Beside
from cli.evidence.facts import Facts, Held
from cli.evidence.markup import Html, joined, link, tag, text
from cli.evidence.page import MOST_EVENTS, page
from cli.evidence.readme import readme
from cli.evidence.rules import rule_text
from cli.evidence.sections import (
    MOST_FILES,
    MOST_FILES_IN_ALL,
    MOST_LINES,
    MOST_LINES_IN_ALL,
    MOST_SESSIONS,
    Told,
)
from cli.output import printable
from recorder import EndReason, FileEvent, FileRow, Kept, Kind, Session, Stored
from recorder.tombstones import Laid
from recorder.verify import Finding, Wrong
from tests.bastion.worlds import HOUR, NOW, SHELL, selectors

HOSTILE = (
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</pre></td></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "<!-- --><![CDATA[<svg/onload=alert(1)>]]>",
    "&lt;script&gt;&#60;script&#62;&amp;",
    "\u202egnp.exe\u202c\u2066\u200f",
    "\x1b]0;title\x07\x1b[31m\r\n\0\x7f\x9b",
    "]]>--><a href=https://example.org>click",
    "{{7*7}}${7*7}`id`",
)


def facts_with(said: str) -> Facts:
    """Everything that can be said in a pack says this."""
    key = PublicKey("ssh-ed25519", b"blob", said, said)
    grant = Grant(
        id=7,
        user=said,
        hosts=selectors("web-1"),
        logins=frozenset({said}),
        allows=SHELL,
        starts_at=NOW,
        ends_at=NOW + HOUR,
        reason=said,
        ticket=said,
        sources=(ip_network("192.0.2.0/24"),),
        granted_by=said,
        approved_by=(said,),
        granted_at=NOW,
        revoked_at=NOW,
        revoked_by=said,
        revoke_reason=said,
        request=1,
        rule=said,
        policy="v1",
        emergency=True,
        reviewed_at=NOW,
        reviewed_by=said,
        review_comment=said,
    )
    request = Request(
        id=1,
        user=said,
        asked_by=f"{said} too",
        hosts=selectors("web-1"),
        logins=frozenset({said}),
        allows=SHELL,
        duration=HOUR,
        reason=said,
        asked_at=NOW,
        stale_at=NOW + HOUR,
        ticket=said,
        source=said,
        sponsor=said,
        rule=said,
        policy="v1",
        approvals=(Approval(said, NOW, HOUR, said, said, said, "v1"),),
        decided_by=said,
        comment=said,
    )
    user = User(said, frozenset({Role.APPROVER}), groups=frozenset({said}), keys=(key,))
    entry = Entry(
        *(3, Signed.TARGET, said, said, said, said, (said,), frozenset({7}), NOW, NOW + HOUR, NOW),
        *(said, 1, said),
    )
    jump = Jump(1, said, said, 3, said, said, said, said, NOW)
    session = session_with(said)
    finding = Finding(Wrong.CHANGED, said, said)
    kill = Kill(1, 32, said, said, NOW)
    events = (event_with(said, 1), event_with(said, 2))
    return Facts(
        dossier=Dossier(
            at=NOW,
            grant=grant,
            only=None,
            requests=(request, replace(request, extends=7)),
            people=((said, user), (f"os:{said}", None)),
            policies=(Policy("v1", f"[[rule]]\nname = {toml(said)}\n# {toml(said)}", said, NOW),),
            certificates=(entry, replace(entry, kind=Signed.USER)),
            connections=(jump,),
            sessions=(session,),
        ),
        held=(
            Held(session, Kept(1, 31, said, said, said, NOW), (finding,)),
            Held(replace(session, id=32, ended_at=None), None, beside=Beside(kill)),
            Held(replace(session, id=33), None, laid=Laid(33, said, said, said, NOW)),
        ),
        proof=Proof(
            events=tuple(event.id for event in events),
            over=(1,),
            unsealed=(2,),
            unlisted=(),
            last=None,
            whole=False,
            anchors={said: 9},
            findings=(EventFinding(EventWrong.CHANGED, said, said),),
        ),
        keys=(key,),
        by=said,
        node=said,
        strayed=(said,),
        missing=(34,),
    )


def toml(said: str) -> str:
    """A string of TOML that says it."""
    return '"' + "".join(f"\\U{ord(c):08X}" if c.isascii() else c for c in said) + '"'


def session_with(said: str) -> Session:
    """A session that says it."""
    return Session(
        *(31, 1, said, 7, said, said, Kind.EXEC, said, said, NOW, NOW + timedelta(seconds=5)),
        *(EndReason.CLOSED, None, said, 1, 2, Stored("S-31.cast", said, 3, 4, True)),
    )


def event_with(said: str, number: int) -> Event:
    """An event that says it in every place."""
    happened = Happened(
        What.GRANT_GIVEN,
        said,
        said,
        user=said,
        host=said,
        login=said,
        session=31,
        why=said,
        details={"hosts": [said], "logins": [said], "commands": [said], "command": said},
    )
    return Event(number, Chain(said, said), number, NOW, happened, START, START)


def files_with(said: str, count: int = 1) -> list[FileRow]:
    """Files with such paths."""
    raw = said.encode("utf-8", "surrogatepass")
    event = FileEvent(said, raw, raw, None, 1, said, said)
    return [FileRow(session_with(said), number, NOW, event) for number in range(count)]


def page_with(said: str) -> str:
    """The page of such a pack."""
    events = [event_with(said, 1), event_with(said, 2)]
    told = Told(events, lambda _: files_with(said), lambda _: [said, said])
    return b"".join(page(facts_with(said), told)).decode()


class Read(HTMLParser):
    """What a browser would make of a page: elements, attributes, and text."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.other: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)

    def unknown_decl(self, data: str) -> None:
        self.other.append(data)


OURS = set(
    "html head meta title style body main header p h1 h2 h3 div nav a table thead tbody tr th td "
    "span bdi dl dt dd pre code section ul li".split()
)
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "href", "colspan"}
PLACE = re.compile(
    r"#[A-Za-z0-9-]+|policy/[A-Za-z0-9]+\.toml|[a-z]+\.(json|jsonl|csv)|recordings/S-31\.cast"
    r"|transcripts/S-[0-9]+\.txt"
)


def assert_ours(markup: str, shape: list[str]) -> Read:
    """Elements, attributes and links are those that we write, whatever was said."""
    read = Read(markup)
    assert read.elements == shape
    assert {name.removeprefix("/") for name in read.elements} <= OURS
    assert {name for name, _ in read.attributes} <= ATTRIBUTES
    assert all(PLACE.fullmatch(value or "") for name, value in read.attributes if name == "href")
    assert read.other == ["DOCTYPE html"]
    return read


HARMLESS = "harmless"
SHAPE = Read(page_with(HARMLESS)).elements


@pytest.mark.parametrize("said", HOSTILE)
def test_what_anybody_says_is_text(said: str) -> None:
    """No element, no attribute and no link more than where all say something harmless."""
    markup = page_with(said)
    read = assert_ours(markup, SHAPE)
    assert printable(said) in "".join(read.text)
    assert all(line.isprintable() for line in markup.split("\n"))


@settings(max_examples=30)
@given(st.text(min_size=1, max_size=40))
def test_any_text_is_text(said: str) -> None:
    """Whatever the characters."""
    assert_ours(page_with(said), SHAPE)


@given(st.text())
def test_a_text_comes_back_as_it_was_shown(said: str) -> None:
    """From an element, and from an attribute; and nothing else does."""
    read = Read(tag("p", said, class_=said))
    assert read.elements == ["p", "/p"]
    assert read.attributes == [("class", printable(said))]
    assert "".join(read.text) == printable(said)


@given(st.text())
def test_a_link_stays_on_the_page_or_in_the_pack(said: str) -> None:
    """It has no scheme, and breaks out of nothing."""
    ((name, value),) = Read(link("here", f"policy/{said.replace('/', '')}")).attributes
    assert name == "href"
    assert re.fullmatch(r"policy/[A-Za-z0-9_.~%#-]*", value or "")


def test_only_what_was_made_as_markup_is_markup() -> None:
    """A string is text, and a name that is none is a mistake."""
    assert text("<b>") == "&lt;b&gt;"
    assert joined(["<b>", Html("<b>"), None]) == "&lt;b&gt;<b>"
    with pytest.raises(ValueError, match="no name"):
        tag("p onload=x")
    with pytest.raises(ValueError, match="no name"):
        tag("p", **{"on click": "x"})


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """No script, no image, no font, no address; and it says so to the browser."""
    markup = page_with(HARMLESS)
    read = Read(markup)
    policy = dict(
        zip(
            *(iter([v for n, v in read.attributes if n in ("http-equiv", "content")]),) * 2,
            strict=False,
        )
    )
    assert policy["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    assert "url(" not in markup
    assert "@import" not in markup
    assert "http" not in markup.replace("http-equiv", "")


@pytest.mark.parametrize("said", HOSTILE)
def test_the_readme_prints_whatever_was_said(said: str) -> None:
    """And has the commands of nobody else: what is indented is what is always there."""
    text = readme(facts_with(said))
    assert all(line.isprintable() for line in text.split("\n"))

    def typed(readme: str) -> list[str]:
        return [line for line in readme.splitlines() if line.startswith("    ")]

    assert typed(text) == typed(readme(facts_with(HARMLESS)))


def test_what_is_too_long_is_cut_and_said() -> None:
    """Events, sessions and files: the page stays a page, and says where all of it is."""
    facts = facts_with(HARMLESS)
    held = tuple(facts.held[0] for _ in range(MOST_SESSIONS + 3))
    proof = replace(facts.proof, events=tuple(range(MOST_EVENTS + 5)))
    many = replace(facts, held=held, proof=proof)
    events = (event_with(HARMLESS, number) for number in range(MOST_EVENTS + 5))
    told = Told(
        events,
        lambda _: files_with(HARMLESS, MOST_FILES + 1),
        lambda _: (f"line {number}" for number in range(MOST_LINES + 1)),
    )
    markup = b"".join(page(many, told)).decode()
    said = " ".join("".join(Read(markup).text).split())
    assert "5 events more: events.jsonl has all." in said
    assert "3 sessions more: sessions.json has all." in said
    assert said.count("There are more files: files.csv has all.") == MOST_SESSIONS
    assert markup.count("<td>harmless ") == MOST_FILES_IN_ALL
    assert said.count("There is more: transcripts/S-31.txt has all.") == MOST_SESSIONS
    assert markup.count("line 399\n") + markup.count("line 399<") == MOST_LINES_IN_ALL / MOST_LINES
    assert markup.count('<section class="session"') == MOST_SESSIONS


RULES = """\
# the first
[[rule]]
name = "one"
who = ["*"]

# about the second
[[rule]]
name = "two"
hosts = ["a",
  "[[rule]]"]  # not a rule

"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one", '[[rule]]\nname = "one"\nwho = ["*"]'),
        ("two", '[[rule]]\nname = "two"\nhosts = ["a",\n  "[[rule]]"]  # not a rule'),
        ("three", None),
    ],
)
def test_the_rule_that_fitted_is_found_in_the_text(name: str, found: str | None) -> None:
    """Its own lines; not the comments of the next one."""
    assert rule_text(RULES, name) == found
    assert rule_text("not [ TOML", name) is None
    assert rule_text('rule = "one"', "one") is None
