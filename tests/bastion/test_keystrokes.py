"""Typing at a terminal of the control plane: what is kept of it, and what is shown."""

from hypothesis import given
from hypothesis import strategies as st

from bastion.keystrokes import LONGEST, MOST_AHEAD, Keystrokes, Line, State

KEYS = st.text(
    alphabet="ab é漢e\u0301\x7f\x15\x17\t\x1b[A\x00",
    max_size=60,
)


def typed(*pieces: str | bytes) -> tuple[Line, str]:
    """A line that was asked for, after these were typed; and what was shown."""
    keys = Keystrokes()
    line, shown = keys.ask()
    for piece in pieces:
        shown += keys.typed(piece.encode() if isinstance(piece, str) else piece)
    return line, shown


class Screen:
    """One row of a terminal: writes, and goes back by `\\b`. Wide letters fill two columns."""

    def __init__(self) -> None:
        self.row: list[str] = []
        self.column = 0

    def show(self, text: str) -> None:
        """As a terminal would."""
        for letter in text.replace("\a", ""):
            if letter == "\b":
                self.column -= 1
            elif letter == "\u0301":
                self.row[self.column - 1] += letter
            else:
                self._put(letter)
                if letter == "漢":
                    self._put("")

    def _put(self, letter: str) -> None:
        self.row[self.column :] = [letter, *self.row[self.column + 1 :]]
        self.column += 1

    @property
    def text(self) -> str:
        """What stands before the cursor."""
        return "".join(self.row[: self.column])


def test_a_line_is_what_was_typed_before_return() -> None:
    """And each key is shown."""
    line, shown = typed("disk ", "full\r")
    assert (line.state, line.text) == (State.ENTERED, "disk full")
    assert shown == "disk full\n"


def test_backspace_takes_the_last_letter_with_all_its_columns_and_marks() -> None:
    """One column for a, two for 漢, one for e with its accent; and then the bell."""
    line, shown = typed("a漢e\u0301")
    assert line.text == "a漢e\u0301"
    _, shown = typed("a漢e\u0301", "\x7f")
    assert shown.endswith("\u0301\b \b")
    _, shown = typed("a漢", "\x7f")
    assert shown.endswith("漢\b \b\b \b")
    line, shown = typed("a", "\x7f\b")
    assert line.text == ""
    assert shown == "a\b \b\a"


def test_ctrl_u_and_ctrl_w_take_all_and_the_last_word() -> None:
    """As the terminal's own line editing does."""
    assert typed("disk is  full ", "\x17")[0].text == "disk is  "
    assert typed("disk is full", "\x15", "web")[0].text == "web"
    assert typed("\x17\x15x")[0].text == "x"


def test_ctrl_c_and_ctrl_d_give_up() -> None:
    """ctrl-d only where nothing stands: beside text it rings."""
    line, shown = typed("abc\x03")
    assert (line.state, shown) == (State.GIVEN_UP, "abc^C\n")
    line, shown = typed("\x04")
    assert (line.state, shown) == (State.GIVEN_UP, "\n")
    line, shown = typed("abc\x04\r")
    assert (line.state, line.text, shown) == (State.ENTERED, "abc", "abc\a\n")


def test_letters_may_come_in_pieces() -> None:
    """The three bytes of 漢, one by one; half a letter shows nothing."""
    first, second, third = (bytes((byte,)) for byte in "漢".encode())
    line, shown = typed(first, second, third, "\r")
    assert (line.text, shown) == ("漢", "漢\n")


def test_what_does_not_print_is_not_kept() -> None:
    """Control characters, bytes that are no UTF-8, and marks that turn the direction of text."""
    line, _ = typed("a\x00\x01\x1ab\u202e\u200bc", b"\xff\xfe", "\u0301d\r")
    assert line.text == "abc\u0301d"
    assert typed("\u0301x")[0].text == "x"


def test_arrow_keys_and_other_sequences_are_swallowed() -> None:
    """CSI, SS3, alt and a letter, and one that never ends."""
    assert typed("a\x1b[Ab\x1b[1;5Cc\x1bOPd\x1bxe\x1b[200~f\r")[0].text == "abcdef"
    assert typed("\x1b[" + "1" * 30 + "a")[0].text == "a"


def test_a_line_has_an_end() -> None:
    """So many characters; the next ones ring."""
    line, shown = typed("x" * (LONGEST + 5))
    assert line.text == "x" * LONGEST
    assert shown.endswith("x\a\a\a\a\a")


def test_what_is_typed_ahead_is_taken_at_the_question() -> None:
    """Several lines that were pasted answer several questions, whatever ends them."""
    keys = Keystrokes()
    assert keys.typed(b"first\r\nsecond\nthird") == ""
    first, shown = keys.ask()
    assert (first.text, shown) == ("first", "first\n")
    second, shown = keys.ask()
    assert (second.state, second.text, shown) == (State.ENTERED, "second", "second\n")
    third, shown = keys.ask()
    assert (third.state, shown) == (State.OPEN, "third")


def test_what_is_typed_ahead_has_an_end() -> None:
    """The rest is forgotten."""
    keys = Keystrokes()
    for _ in range(10):
        keys.typed(b"y" * MOST_AHEAD)
    assert len(keys._ahead) == MOST_AHEAD


def test_ctrl_c_between_questions_is_heard_at_once() -> None:
    """And takes away what was typed before it."""
    keys = Keystrokes()
    keys.typed(b"abc")
    assert not keys.interrupted()
    keys.typed(b"\x03d")
    assert keys.interrupted()
    assert not keys.interrupted()
    assert keys.ask()[0].text == "d"


def test_the_end_of_typing_ends_the_line() -> None:
    """With what stands there, or with nothing; and later questions at once."""
    keys = Keystrokes()
    line, _ = keys.ask()
    keys.typed(b"no return")
    keys.end()
    assert (line.state, line.text) == (State.ENTERED, "no return")
    assert keys.ask()[0].state is State.GIVEN_UP


def test_a_line_that_is_withdrawn_takes_nothing_more() -> None:
    """What is typed then is for the next question."""
    keys = Keystrokes()
    line, _ = keys.ask()
    keys.withdraw()
    assert keys.typed(b"late\r") == ""
    assert line.state is State.OPEN
    assert keys.ask()[0].text == "late"


@given(keys=KEYS, cut=st.integers(1, 7))
def test_the_screen_shows_what_is_kept(keys: str, cut: int) -> None:
    """However it comes in pieces: what stands on the row is the line."""
    data = keys.encode()
    line, shown = typed(*(data[at : at + cut] for at in range(0, len(data), cut)))
    screen = Screen()
    screen.show(shown)
    assert screen.text == line.text
    assert typed(keys)[0].text == line.text
