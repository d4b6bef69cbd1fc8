"""Command lines: what is read is what a shell would see, or it is refused."""

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.commands import LIMIT, Command, parse
from bastion.errors import BadInput

SHELLS = ["/bin/bash", "/bin/dash"]

TRICKS = [*"ab1 \t'\"$`\\!;&|<>(){}[]*?~#=%^@+-_:,./\n\r\0\x1b\u00a0\u2028é日", "if ", "x="]
lines = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(TRICKS), max_size=20).map("".join),
)


def words_seen_by(shell: str, line: str) -> list[str]:
    """The words that a real shell makes of `line`: it prints them, each with a NUL behind."""
    program = f"printf '%s\\0' {line}"
    run = subprocess.run(
        [shell, "-c", program], capture_output=True, timeout=10, check=True, env={}
    )
    return run.stdout.decode().split("\0")[:-1]


@given(line=lines)
def test_what_is_accepted_survives_being_joined_and_split(line: str) -> None:
    """The words come back from `shlex.join`, and from reading what it writes once more."""
    try:
        command = parse(line)
    except BadInput as error:
        said = str(error)
        assert said.isprintable()
        return
    assert shlex.split(str(command)) == list(command.argv)
    assert str(command).isprintable()
    str(command).encode()


quoted = st.text(alphabet="ab '\"$`\\;|&*?~{}()<>#=%^é日", max_size=8).map(
    lambda text: f"'{text}'" if "'" not in text else f'"{text}"'
)
plausible = st.lists(
    st.one_of(quoted, st.text(alphabet="ab1_@%+=:,./-", min_size=1, max_size=8)),
    min_size=1,
    max_size=6,
).map(" ".join)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=60)
@given(line=plausible)
def test_a_real_shell_sees_exactly_these_words(shell: str, line: str) -> None:
    """bash and dash make of what is sent the words that were judged, no more and no fewer."""
    try:
        command = parse(line)
    except BadInput:
        return
    assert words_seen_by(shell, str(command)) == list(command.argv)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=60)
@given(line=plausible)
def test_the_line_that_came_in_means_the_same(shell: str, line: str) -> None:
    """What somebody typed and was granted is what it would have been without us."""
    try:
        command = parse(line)
    except BadInput:
        return
    assert words_seen_by(shell, line) == list(command.argv)


@pytest.mark.parametrize(
    ("line", "argv"),
    [
        ("uptime", ("uptime",)),
        ("  systemctl\tstatus  nginx ", ("systemctl", "status", "nginx")),
        ("echo 'a b' \"c d\"", ("echo", "a b", "c d")),
        ("echo a'b'\"c\"d", ("echo", "abcd")),
        ("echo ''", ("echo", "")),
        ('echo "it\'s"', ("echo", "it's")),
        ("echo '$HOME' ';' '*'", ("echo", "$HOME", ";", "*")),
        ("/usr/bin/tail -n 100 /var/log/x.log", ("/usr/bin/tail", "-n", "100", "/var/log/x.log")),
        ("echo 'grüße'", ("echo", "grüße")),
        ("dd if=a of=b", ("dd", "if=a", "of=b")),
    ],
)
def test_lines_that_are_read(line: str, argv: tuple[str, ...]) -> None:
    """Plain words, quotes of both kinds, and words put together of several pieces."""
    assert parse(line) == Command(argv)


@pytest.mark.parametrize(
    "line",
    [
        *["", " ", "''", "ls;rm -rf /", "ls && id", "ls || id", "ls | sh", "ls & id", "ls > x"],
        *["ls < x", "$(id)", "`id`", "echo $HOME", "echo ${IFS}", 'echo "$HOME"', 'echo "`id`"'],
        *["ls *", "ls ?", "ls [a]", "ls {a,b}", "ls ~", "ls ~root", "diff <(id) x", "ls\nid"],
        *["ls\rid", "ls\0id", "ls\x0bid", "ls\u00a0id", "ls\u2003id", "ls # x", "(id)", "{ id; }"],
        *[
            "=id",
            "echo =id",
            "echo '=id'",
            "A=b id",
            "1=b id",
            "a.b=c id",
            "A+=b id",
            "a[0]=b id",
            "LD_PRELOAD=x ls",
        ],
        *["! ls", "'!' ls", "if ls", "'if' true", "time ls", "[[ a ]]", "function f", "case x"],
        *["echo a!b", "echo 'a!b'", "echo a\\b", "echo 'a\\b'", 'echo "a\\b"', "echo 'open"],
        *['echo "open', "echo ^a^b", "-x", "+x", "%1", "'-x' y", "echo 'a\nb'", "echo '\x1b[2J'"],
        *[
            "echo '\x7f'",
            "echo '\x9b'",
            "echo '\ud800'",
            "echo '\u202e'",
            "echo '\u00a0'",
            "é",
            "x" * (LIMIT + 1),
        ],
    ],
)
def test_lines_that_are_refused(line: str) -> None:
    """Whatever a shell could see something in."""
    with pytest.raises(BadInput) as refusal:
        parse(line)
    assert str(refusal.value).isprintable()


def test_a_line_of_the_longest_length_is_read() -> None:
    """The limit itself is allowed."""
    assert parse("x" * LIMIT).argv == ("x" * LIMIT,)
