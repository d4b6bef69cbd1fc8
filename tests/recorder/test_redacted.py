"""A redacted export: a secret is left out, in whatever pieces it came."""

from hypothesis import given
from hypothesis import strategies as st

from recorder.asciicast import Code, Event, Header
from recorder.redacted import LONGEST, redacted, redacted_header
from recorder.redaction import Redaction, Redactor

LINE = "deploy@web-1:~$ mysql --password hunter2 db\r\n"


def shown(*texts: str) -> list[Event]:
    return [Event(float(time), Code.OUT, text) for time, text in enumerate(texts)]


def told(events: list[Event], *patterns: str) -> str:
    """All that is shown of a derivative."""
    redactor = Redactor(Redaction(patterns or ("set:all",)))
    return "".join(e.data for e in redacted(events, redactor) if e.code is Code.OUT)


@given(st.lists(st.integers(1, 9), max_size=60))
def test_a_secret_in_pieces_is_left_out(lengths: list[int]) -> None:
    """Key by key, as it was echoed."""
    pieces, at = [], 0
    for length in lengths:
        pieces.append(LINE[at : at + length])
        at += length
    text = told(shown(*pieces, LINE[at:], "next\r\n"))
    assert text == "deploy@web-1:~$ mysql --password [redacted] db\r\nnext\r\n"


def test_colours_and_corrections_hide_no_secret() -> None:
    """What is between the characters stays where it was."""
    assert told(shown("password=\x1b[31mhun\x1b[1mter2\x1b[0m;\r\n")) == (
        "password=\x1b[31m[redacted]\x1b[1m\x1b[0m;\r\n"
    )
    assert "hunter" not in told(shown("password=hunz", "\b \b", "ter2", "\r\n"))
    assert told(shown("passw\x1b[7mor\x1b[0md=hunter2\n")).endswith("d=[redacted]\n")
    assert told(shown("pass \rword=hunter2\r\n")) == "pass \rword=[redacted]\r\n"
    assert told(shown("\x1b]0;password=title\x07x\n")) == "\x1b]0;password=title\x07x\n"


def test_a_key_over_several_lines_is_left_out() -> None:
    """As the set of private keys knows it."""
    text = told(shown("-----BEGIN PRIVATE KEY-----\r\nMIIB\r\n", "VgIBAD==\r\n", "-----END"))
    assert text == "-----BEGIN PRIVATE KEY-----\r\n[redacted]\r\n[redacted]\r\n-----END"


def test_other_events_stay_in_their_order() -> None:
    """Times never go back; of a note the text is redacted, too."""
    events = [
        Event(0.0, Code.OUT, "password=hun"),
        Event(1.0, Code.RESIZE, "100x30"),
        Event(2.0, Code.NOTE, "bastion:file password=x"),
        Event(3.0, Code.ERR, "ter2\n"),
        Event(4.0, Code.EXIT, "0"),
    ]
    assert list(redacted(events, Redactor(Redaction(["set:all"])))) == [
        Event(0.0, Code.OUT, "password=[redacted]"),
        Event(1.0, Code.RESIZE, "100x30"),
        Event(2.0, Code.NOTE, "bastion:file password=[redacted]"),
        Event(3.0, Code.ERR, "\n"),
        Event(4.0, Code.EXIT, "0"),
    ]


@given(st.lists(st.text(st.sampled_from("ab \r\n\x1b[3m\b;"), max_size=20), max_size=20))
def test_what_holds_nothing_stays_as_it_was(texts: list[str]) -> None:
    """To the character."""
    assert told(shown(*texts), "never there") == "".join(texts)


def test_a_line_without_an_end_is_judged_in_pieces() -> None:
    """What is held back is bounded."""
    events = shown(*["password=hunter2 " * 100] * 100)
    begun = next(iter(redacted(iter(events), Redactor(Redaction(["set:all"])))))
    assert begun.data.startswith("password=[redacted] password=")
    assert told(events).count("hunter2") <= 3, "only where it was cut in two"
    assert len("password=hunter2 " * 10_000) > LONGEST


def test_a_header_says_that_it_is_no_evidence() -> None:
    """And its command line is redacted, too."""
    header = Header(80, 24, 1, "S-1 alice: x --token abc", None, {"command": "x --token abc"})
    found = redacted_header(header, Redactor(Redaction(["set:all"])))
    assert found.title == "S-1 alice: x --token [redacted] (redacted: not the evidence)"
    assert found.session == {"command": "x --token [redacted]", "redacted": True}
