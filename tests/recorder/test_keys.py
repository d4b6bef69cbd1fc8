"""Keys: bytes that were typed, as keys and their spelling."""

import re

from hypothesis import given
from hypothesis import strategies as st

from recorder.keys import Key, Keys, Kind, spelled, spelled_text


def read(*pieces: bytes) -> list[Key]:
    """The keys of a terminal's whole input."""
    keys = Keys()
    found = [key for time, data in enumerate(pieces) for key in keys.read(time, data)]
    return [*found, *keys.end(len(pieces))]


def written(*pieces: bytes) -> str:
    return spelled(read(*pieces))


def test_keys_that_are_no_characters_have_names() -> None:
    """Enter, ctrl, arrows, function keys, a paste."""
    assert written(b"ls -l\r") == "ls -l\\r"
    assert written(b"\x03\x04\x1a\x00") == "^C^D^Z^@"
    assert written(b"a\x7f\x08\tb") == "a<backspace><backspace><tab>b"
    assert written(b"\x1b[A\x1bOB\x1b[1;5C\x1b[3~\x1b[5;3~") == (
        "<up><down><ctrl-right><delete><alt-page-up>"
    )
    assert written(b"\x1bOP\x1b[15~\x1b[Z") == "<f1><f5><back-tab>"
    assert written(b"\x1b[200~two\nlines\x1b[201~\r\n") == "<paste>two\\nlines</paste>\\r\\n"
    assert written(b"\x1bx\x1b[99~\x1b[1;9A") == "<esc>x<esc [99~><esc [1;9A>"


def test_what_the_terminal_answers_is_told_apart_and_told() -> None:
    """Nobody typed it; but nobody hides anything in it either."""
    assert written(b"\x1b[?1;2c\x1b[24;80R") == "<answer [?1;2c><answer [24;80R>"
    assert written(b"\x1b]11;rgb:00/00/00\x07") == "<answer ]11;rgb:00/00/00\\x07>"
    assert written(b"\x1b[<0;10;5M") == "<mouse>"
    assert written(b"\x1b]rm -rf /\r\x07") == "<esc>]rm -rf /\\r^G"


def test_a_text_never_reads_like_a_key() -> None:
    """What was typed as `<up>` is not the key."""
    assert written(b"<up> ^C \\r <answer x>") == "\\<up> \\^C \\\\r \\<answer x>"
    assert written(b"cat < in 2>&1; x=$((2^y))") == "cat < in 2>&1; x=$((2^y))"


def test_torn_characters_are_whole_again_and_torn_for_good_are_bytes() -> None:
    """A character may come in two pieces; bytes that are none are told as bytes."""
    assert written("grün".encode()[:3], "grün".encode()[3:]) == "grün"
    assert written(b"\xff\xc3") == "\\xff\\xc3"
    assert [key.kind for key in read(b"\xff")] == [Kind.TEXT]


@given(st.text(max_size=60))
def test_a_spelling_is_one_line_that_prints(text: str) -> None:
    """Whatever was typed."""
    assert written(text.encode("utf-8", "surrogatepass")).isprintable()


@given(st.text(st.sampled_from("ab\\<>^/r-upC[ "), max_size=30))
def test_a_spelled_text_gives_the_text_again(text: str) -> None:
    """Without its backslashes before `\\`, `<` and `^`; and no name of a key is in it."""
    found = written(text.encode())
    assert re.sub(r"\\([\\<^])", r"\1", found) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*(?:</?[a-z][a-z-]*>|\^[@-_])", found)


@given(st.binary(max_size=200), st.lists(st.integers(1, 9), max_size=60))
def test_no_byte_is_lost(data: bytes, lengths: list[int]) -> None:
    """However it came in pieces, the keys are all of what was typed."""
    pieces, at = [], 0
    for length in lengths:
        pieces.append(data[at : at + length])
        at += length
    keys = read(*pieces, data[at:])
    assert "".join(key.text for key in keys).encode("utf-8", "surrogateescape") == data


@given(st.text(st.sampled_from("ab\\<>^/r-upC[ \t\nä\x01"), max_size=30))
def test_a_text_is_spelled_by_the_same_rules(text: str) -> None:
    """What was piped in is no typing, and reads like none."""
    found = spelled_text(text)
    assert found.isprintable()
    plain = "".join(each for each in text if each.isprintable())
    if plain == text:
        assert re.sub(r"\\([\\<^])", r"\1", found) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*(?:</?(?!tab>)[a-z][a-z-]*>|\^[@-_])", found)
