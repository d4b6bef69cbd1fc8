"""Echo: what the terminal did not show again is masked."""

import string

from hypothesis import given
from hypothesis import strategies as st

from recorder.echo import LONGEST_RUN, MOST_OPEN, TRIES, WINDOW, Shown, Typed, judged
from recorder.keys import Key, Keys, spelled

MASK = "***"


class Terminal:
    """What went on at a terminal, a hundredth of a second between two things."""

    def __init__(self) -> None:
        self.moments: list[Key | Shown] = []
        self.time = 0.0
        self._keys = Keys()

    def typed(self, text: str) -> "Terminal":
        """All of it in one piece."""
        self.time += 0.01
        self.moments += self._keys.read(self.time, text.encode())
        return self

    def shown(self, text: str) -> "Terminal":
        self.time += 0.01
        self.moments.append(Shown(self.time, text))
        return self

    def echoed(self, text: str) -> "Terminal":
        """Typed key by key, and each shown at once."""
        for character in text:
            self.typed(character).shown("\r\n" if character == "\r" else character)
        return self

    def silent(self, text: str) -> "Terminal":
        """Typed key by key, and nothing is shown."""
        for character in text:
            self.typed(character)
        return self

    @property
    def pieces(self) -> list[Typed]:
        return list(judged(self.moments))

    @property
    def told(self) -> str:
        """What is told of it: MASK stands for each piece that is masked."""
        return "".join(MASK if piece.masked else spelled(piece.keys) for piece in self.pieces)


def test_a_command_is_told_and_the_password_after_it_is_not() -> None:
    """The prompt says nothing; that nothing is shown does."""
    terminal = Terminal().shown("$ ").echoed("sudo -i\r").shown("[sudo] password for deploy: ")
    terminal.silent("hunter2\r").shown("\r\n").shown("root# ").echoed("id\r").shown("uid=0\r\n")
    assert terminal.told == f"sudo -i\\r{MASK}\\rid\\r"


def test_what_is_printed_after_a_password_is_no_echo_of_it() -> None:
    """Not even where it holds the password's characters, or begins as the password does."""
    for printed in ("hunt for 2 hours\r\n", "h\r\n", "hunter24\r\n", "it was hunter2\r\n", "\r\n"):
        assert Terminal().silent("hunter2\r").shown(printed).told == f"{MASK}\\r"


def test_stars_are_no_echo() -> None:
    """A prompt that shows a star for each key."""
    terminal = Terminal().shown("Password: ")
    for character in "hunter2":
        terminal.typed(character).shown("*")
    assert terminal.typed("\r").shown("\r\n").told == f"{MASK}\\r"
    drawn = Terminal().shown("Password: ")
    for number, character in enumerate("Passion", 1):
        drawn.typed(character).shown(f"\rPassword: {'*' * number}")
    assert drawn.typed("\r").shown("\r\n").told == f"{MASK}\\r"


def test_corrections_and_their_echo_change_nothing() -> None:
    """Backspace at a prompt belongs to the secret; in a command it is told."""
    silent = Terminal().silent("hunz\x7fter2\r").shown("\r\n")
    assert silent.told == f"{MASK}\\r"
    terminal = Terminal().echoed("ls -z")
    terminal.typed("\x7f").shown("\b\x1b[K").echoed("l\r")
    assert terminal.told == "ls -z<backspace>l\\r"
    erased = Terminal().echoed("lz").typed("\x7f").shown("\b \b").echoed("s\r")
    assert erased.told == "lz<backspace>s\\r"


def test_an_echo_may_come_late_and_in_other_pieces() -> None:
    """A long way to the target: three keys are typed before the first is shown."""
    terminal = Terminal().typed("l").typed("s").typed(" ").shown("l").typed("-").shown("s -")
    assert terminal.typed("l\r").shown("l\r\n").told == "ls -l\\r"
    assert Terminal().typed("ls -l\r").shown("ls -l\r\nfile\r\n").told == "ls -l\\r"
    assert Terminal().typed("ls -l\r").shown("ls ").shown("-l").shown("\r\n").told == "ls -l\\r"


def test_an_echo_that_comes_too_late_is_none() -> None:
    """By then it may be anything."""
    terminal = Terminal().typed("l")
    terminal.time += WINDOW
    assert terminal.shown("l").told == MASK


def test_lines_that_are_drawn_anew_are_echoed() -> None:
    """zsh draws the line again in colours; bash's search shows the line that it finds."""
    terminal = Terminal().shown("$ ").typed("l").shown("l\x1b[90mess\x1b[0m\b\b\b")
    terminal.typed("s").shown("\b\x1b[32mls\x1b[0m").typed(" ").shown("\rls \x1b[K")
    assert terminal.typed("\r").shown("\r\r\n").told == "ls \\r"
    search = Terminal().typed("\x12").shown("(reverse-i-search)`': ")
    search.typed("c").shown("\b\b\bc': cd /etc").typed("d").shown("\b" * 10 + "d': cd /etc")
    assert search.told == "^Rcd"


def test_completion_and_arrows_part_a_command() -> None:
    """What stands between is judged for itself."""
    terminal = Terminal().echoed("cat /et").typed("\t").shown("c/").echoed("host")
    terminal.typed("\t").shown("name ").typed("\r").shown("\r\n")
    assert terminal.told == "cat /et<tab>host<tab>\\r"
    form = Terminal().echoed("alice").typed("\t").silent("hunter2\r").shown("\r\n")
    assert form.told == f"alice<tab>{MASK}\\r"


def test_an_editors_keys_are_masked_and_its_text_is_told() -> None:
    """A key that is a command shows something else; the text that is put in is shown."""
    terminal = Terminal().typed("i").shown("\x1b[24;1H-- INSERT --\x1b[1;1H")
    terminal.echoed("hello").typed("\x1b").shown("\x1b[24;1H\x1b[K")
    assert terminal.told == f"{MASK}hello<esc>"
    pasted = Terminal().typed("PermitRootLogin no\r").shown("\x1b[1;1HPermitRootLogin no\x1b[2;1H")
    assert pasted.told == "PermitRootLogin no\\r"


def test_a_short_run_is_echoed_whole_or_masked_whole() -> None:
    """Three quarters of three letters would be given away by chance."""
    terminal = Terminal().typed("a").shown("a").typed("b").shown("b").silent("c\r").shown("\r\n")
    assert terminal.told == f"{MASK}\\r"


def test_noise_is_no_echo() -> None:
    """Output that streams while a password is typed: its letters are there, in their order."""
    terminal = Terminal()
    for character in "hunter2":
        terminal.typed(character)
        for line in ("checking", "unpacking", "installing", "reading", character):
            terminal.shown(f"{line}\r\n")
    assert terminal.told == MASK


def test_a_few_pieces_of_noise_are_borne() -> None:
    """A status line is drawn before the echo."""
    noisy = Terminal()
    for character in "make":
        noisy.typed(character)
        for _ in range(TRIES - 1):
            noisy.shown("\x1b[1;70H12:00\x1b[2;1H")
        noisy.shown(character)
    assert noisy.told == "make"


def test_what_stays_open_is_masked() -> None:
    """The recording ended before anything was shown; and there is no end to what waits."""
    assert Terminal().typed("half").told == MASK
    flood = Terminal().typed("x" * (MOST_OPEN * 2))
    assert flood.told.replace(MASK, "") == ""
    assert max(len(piece.keys) for piece in flood.pieces) <= LONGEST_RUN


def test_a_run_has_an_end_whatever_it_is_of() -> None:
    """Nobody fills memory with backspaces."""
    pieces = Terminal().typed("x").shown("x").typed("\x7f" * (3 * LONGEST_RUN)).pieces
    assert max(len(piece.keys) for piece in pieces) <= LONGEST_RUN


def test_times_are_those_of_the_keys() -> None:
    """Pieces come in the order in which they were typed, with the times of their keys."""
    pieces = Terminal().echoed("ls\r").silent("pw\r").shown("\r\n").pieces
    times = [key.time for piece in pieces for key in piece.keys]
    assert times == sorted(times)
    assert [piece.time for piece in pieces] == [piece.keys[0].time for piece in pieces]


printable = st.text(
    st.sampled_from(string.ascii_letters + string.digits + " .-_/"), min_size=1, max_size=40
)


@given(st.lists(st.tuples(printable, st.booleans(), printable), max_size=8))
def test_over_a_quick_line_the_guess_is_right(
    lines: list[tuple[str, bool, str]],
) -> None:
    """Key by key: what is echoed is told, what is not is masked, whatever is printed after it."""
    terminal, expected = Terminal(), ""
    for text, echo, printed in lines:
        if echo:
            terminal.echoed(f"{text}\r")
        else:
            terminal.silent(f"{text}\r").shown("\r\n")
        terminal.shown(f"{printed}\r\n$ ")
        expected += f"{text if echo else MASK}\\r"
    assert terminal.told == expected


@given(st.data())
def test_what_is_not_echoed_is_never_told(data: st.DataObject) -> None:
    """Typed in any pieces, whatever is shown after Enter, but for the secret itself."""
    secret = data.draw(printable)
    printed = data.draw(st.text(max_size=40).filter(lambda text: secret not in text))
    terminal = Terminal().shown("Password: ")
    at = 0
    while at < len(secret):
        length = data.draw(st.integers(1, len(secret)))
        terminal.typed(secret[at : at + length])
        at += length
    terminal.typed("\r").shown(data.draw(st.sampled_from(["", "\r\n"])) + printed)
    assert terminal.pieces[0].masked


@given(st.data())
def test_what_is_echoed_in_any_pieces_is_told(data: st.DataObject) -> None:
    """The echo runs behind by some keys, in pieces of its own."""
    text = data.draw(printable)
    terminal = Terminal().shown("$ ")
    typed = shown = 0
    while shown < len(text):
        if typed < len(text) and (typed == shown or data.draw(st.booleans())):
            terminal.typed(text[typed])
            typed += 1
        else:
            end = data.draw(st.integers(shown + 1, typed))
            terminal.shown(text[shown:end])
            shown = end
    terminal.typed("\r").shown("\r\n")
    assert terminal.told == f"{text}\\r"


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=30)), max_size=40))
def test_nothing_that_was_typed_is_lost(moments: list[tuple[bool, str]]) -> None:
    """Each key is in one piece, in its order, whatever was shown."""
    terminal = Terminal()
    for is_key, text in moments:
        if is_key:
            terminal.typed(text)
        else:
            terminal.shown(text)
    typed = [moment for moment in terminal.moments if isinstance(moment, Key)]
    assert [key for piece in terminal.pieces for key in piece.keys] == typed
