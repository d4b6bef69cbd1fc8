"""Command lines before real shells: what is let through has exactly the words that were judged.

Two lists of lines, and what hypothesis thinks of besides. Every line that is let through is run
as a target runs it, by `$SHELL -c` with what the bastion would send, where its first word is a
program that writes down what it was called with. A second reader of bash, of another make, has
to see one plain command in it.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import tree_sitter_bash
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_sitter import Language, Node, Parser

from bastion.commands import Command, parse
from bastion.errors import BadInput
from bastion.templates import matching, parse_template
from tests.corpus.test_commands import REFUSED as REFUSED_ELSEWHERE

SHELLS = {"bash": ["bash"], "dash": ["dash"], "zsh": ["zsh"], "busybox": ["busybox", "sh"]}

GRANTED = tuple(
    map(
        parse_template,
        [
            *["ll {words}", "la", "grep {word}", "... {words}", "G x", "if-up {word}", "timex"],
            *["7z", "0", "1", "_", "__", ".x", ":x", "@", ",", "a.b", "a:b", "a@b", "a,b"],
            *["'a b' {word}", "'a;b'", "'$x'", "'*'", "'&'", "'#'", "'~'", "'~root'", "'{a,b}'"],
            *["'[a]'", "'(x)'", "'<x'", "'>x'", "'|'", "'`id`'", "'$(id)'", "'é'", "'日本' {word}"],
            *["'\"'", '"\'"', "file.pdf", "UPPER", "'^x'", "'?'", "' '", "'2>x'", "'a\"b'"],
        ],
    )
)

TAKEN = [
    # Blanks and pieces
    *["show", "  show  ", "show\ta", "show a  b\t\tc ", "show ''", 'show ""', "show '' '' \"\""],
    *[
        "show a''b",
        "show 'a'b\"c\"d",
        "s'h'\"ow\" x",
        "'show' x",
        '"show" x',
        "show ' '",
        "show '  a '",
    ],
    *[
        "show 'a b' c",
        "show \"a b\"'c d'",
        'show "\'"',
        "show '\"'",
        'show "it\'s"',
        "show ''\"'\"''",
    ],
    *["show 'a'\"'\"'b'", "show '\"'\"'\"'\"'", "show '''' \"\"\"\"", "show a'' ''b", 'show ""a'],
    # What a shell would expand, quoted
    *["show '$HOME'", "show '$(touch x)'", "show '`touch x`'", "show '${IFS}'", "show '$((1+1))'"],
    *["show '$1' '$@' '$*' '$#' '$?' '$$'", "show '$'", "show '$['", "show '${x:-y}'"],
    *["show '*' '?' '[a-z]*'", "show '**/*'", "show 'x*' y'*'", "show '.*'", "show '[x]'"],
    *["show '{a,b}'", "show '{1..9}'", "show '{'", "show '}'", "show '{}'", "show a'{b,c}'d"],
    *[
        "show '~'",
        "show '~root'",
        "show '~/x'",
        "show 'a=~'",
        "show a='~/x'",
        "show --x='~'",
        "show a:'~'",
    ],
    *["show '~+' '~-'", "show a'~'b", "show 'x:~:y'"],
    # What would end a command, or lead its output elsewhere, quoted
    *["show ';id'", "show 'a;b'", "show '&'", "show '&&' id", "show '|' id", "show '||' id"],
    *[
        "show '>' x",
        "show '>>x'",
        "show '2>&1'",
        "show '<x'",
        "show '<<x'",
        "show '<<<x'",
        "show '&>x'",
    ],
    *["show '<(id)'", "show '>(id)'", "show '(id)'", "show '()'", "show '$(<x)'", "show 'a)b'"],
    *["show '#'", "show '#x' y", "show a'#'b", "show '# touch x'"],
    # zsh, ksh, csh and fish have ideas of their own
    *["show '^x^y'", "show '^a'", "show 'a^b'", "show 'x~y'", "show '<->'", "show '<1-9>'"],
    *[
        "show '(#i)x'",
        "show '*(e:id:)'",
        "show '*(.)'",
        "show 'x(N)'",
        "show '+(a)' '@(a|b)' '?(a)'",
    ],
    *[
        "show a=b",
        "show a==b",
        "show 'a=(b)'",
        "show A=B c=d",
        "show --a=b=c",
        "show 'a[1]=x'",
        "show a+=b",
    ],
    *[
        "show 1=2",
        "show %1 %% %self",
        "show '%'x",
        "show '$fish'",
        "show '(id)' '(set)'",
        "show -=x",
    ],
    *["show :h :t :r", "show a:h", "show 'a:s/b/c/'", "show x:gs", "show @ @x x@", "show , ,, a,b"],
    # Signs that are plain, and options
    *[
        "show - -- --- -c",
        "show -c 'touch x'",
        "show --",
        "show -e -n",
        "show +x +",
        "show -x'y z'",
    ],
    *[
        "show / // . .. ../x ./x",
        "show /etc/../x",
        "show a/b//c/",
        "show _ __ _x",
        "show 0 007 -1 1.5",
    ],
    *["show 1e9 0x1f 1_000", "show %s %d%%", "show a%20b", "show http://x/y:80/z"],
    *["show user@host:/x", "show key=value,other=value", "show 2:1", "show 1,2:3-4"],
    # Words of the shell's own, where they are none
    *["show if then else fi", "show for in do done", "show case esac while until", "show select"],
    *[
        "show function time coproc",
        "show '[[' ']]'",
        "show '{' x '}'",
        "show in",
        "show end foreach",
    ],
    *[
        "show eval exec source . :",
        "show alias l=x",
        "show export A=b",
        "show exit 1",
        "show nocorrect",
    ],
    # Other letters
    *["show 'grüße'", "show '日本語'", "show 'שלום'", "show 'e\u0301'", "show '𝒳😀'", "show 'ﷺ'"],
    *[
        "show '；id'",
        "show '＄HOME'",
        "show '｀id｀'",
        "show 'ʼid'",
        "show '‘a’ “b”'",
        "show '⁄etc'",
    ],
    *["show 'ǃ'", "show '﹔'", "show 'ⅰⅱ'", "show 'Ω≈ç√'", "show 'µ'\"ß\"", "show 'ﬁ'"],
    # First words that are names of programs all the same
    *[
        "ll",
        "ll x",
        "la",
        "grep x",
        "... x",
        "G x",
        "if-up eth0",
        "timex",
        "7z",
        "0",
        "1",
        "_",
        "__",
    ],
    *[".x", ":x", "@", ",", "a.b", "a:b", "a@b", "a,b", "'a b' x", "'a;b'", "'$x'", "'*'", "'&'"],
    *[
        "'#'",
        "'~'",
        "'~root'",
        "'{a,b}'",
        "'[a]'",
        "'(x)'",
        "'<x'",
        "'>x'",
        "'|'",
        "'`id`'",
        "'$(id)'",
    ],
    *[
        "'é'",
        "'日本' x",
        "'\"'",
        '"\'"',
        "file.pdf",
        "UPPER",
        "'^x'",
        "'?'",
        "' '",
        "'2>x'",
        "'a\"b'",
    ],
    # Long ones
    "show " + "x" * 30_000,
    "show " + "a " * 10_000,
    "show '" + "; " * 10_000 + "'",
]

REFUSED = [
    # Quotes that do not close, or close too early
    *["show 'a", 'show "a', "show a'", "show 'a'b'", 'show "a"b"', "show '\"", "show ''''a'"],
    *["show 'a' 'b", "'show", '"show', "show '\"'\"", "show $'a'", "show $'\\x41'", 'show $"a"'],
    # Expansions within double quotes
    *[
        'show "$x"',
        'show "${x}"',
        'show "$(id)"',
        'show "`id`"',
        'show "a$"',
        'show "$$"',
        'show "!x"',
    ],
    *['show "a\\$b"', 'show "\\"', 'show "\\n"', 'show "$1"', 'show "$(<x)"', 'show "a`b"'],
    # Backslashes and exclamation marks: fish and csh read them within single quotes too
    *["show \\a", "show a\\ b", "show 'a\\'", "show '\\''", "show '\\\\'", "show a\\", "\\show x"],
    *[
        "show !",
        "show !x",
        "show a!b",
        "show '!'",
        "show 'a!b'",
        "show '!!'",
        "show !$",
        "!show",
        "show '!(a)'",
    ],
    # Ends and chains
    *[
        "show;id",
        "show ;id",
        "show;",
        ";show",
        "show&id",
        "show &",
        "&show",
        "show&&id",
        "show||id",
    ],
    *["show|id", "show |", "|show", "show|&id", "show;;id", "show;&id", "show&!", "show&|"],
    *[
        "show\nid",
        "\nshow",
        "show\n",
        "show a\n\nid",
        "show\rid",
        "show\x0bid",
        "show\x0cid",
        "show\0id",
    ],
    *["show 'a\nb'", "show 'a\tb'", "show 'a\0b'", 'show "a\nb"', "show 'a\rb'", "show '\x1b[31m'"],
    # Redirections
    *[
        "show>x",
        "show >x",
        "show 2>x",
        "show >&2",
        "show &>x",
        "show >|x",
        "show >!x",
        "show <x",
        "show <<x",
    ],
    *[
        "show <<<x",
        "show <>x",
        "show {fd}>x",
        "show >x a",
        ">x show",
        "<x show",
        "show >&-",
        "show 3<&0",
    ],
    # Expansions
    *[
        "show $x",
        "show ${x}",
        "show $(id)",
        "show `id`",
        "show $((1))",
        "show $[1]",
        "show $",
        "show a$b",
    ],
    *[
        "show ${x:=y}",
        "show ${#x}",
        "show ${!x}",
        "show $1",
        "show $@",
        "show $?",
        "show ${(e)x}",
        "show $#",
    ],
    *[
        "show *",
        "show a*",
        "show ?",
        "show [a]",
        "show [!a]",
        "show **",
        "show .*",
        "show a[1]",
        "show *(.)",
    ],
    *[
        "show {a,b}",
        "show {1..9}",
        "show a{b,c}",
        "show {}",
        "show {",
        "show }",
        "show x{}",
        "show I{}",
    ],
    *["show ~", "show ~root", "show ~/x", "show a=~", "show ~+", "show x:~", "show ~1", "show a~b"],
    *[
        "show <(id)",
        "show >(id)",
        "show =(id)",
        "show =id",
        "show '=id'",
        'show "="',
        "show =",
        "=show",
    ],
    *[
        "show ^a^b",
        "show a^b",
        "^a^b",
        "show <1-9>",
        "show (a|b)",
        "show @(a)",
        "show +(a)",
        "show x(N)",
    ],
    # Grouping, functions, and words of the shell's own
    *[
        "(show)",
        "{ show; }",
        "{ show }",
        "{show}",
        "show() { id; }",
        "function show { id; }",
        "f(){ show;}",
    ],
    *[
        "if show; then id; fi",
        "if show",
        "'if' show",
        'i"f" show',
        "then show",
        "while show",
        "until x",
    ],
    *[
        "for x in y; do show; done",
        "for x",
        "case x in",
        "select x",
        "time show",
        "coproc show",
        "do show",
    ],
    *[
        "done",
        "esac",
        "fi",
        "else show",
        "elif show",
        "in",
        "[[ x ]]",
        "'[[' x",
        "'{' show",
        "'}'",
        "! show",
    ],
    *[
        "'!' show",
        "nocorrect show",
        "repeat 3 show",
        "foreach x",
        "end",
        "namespace x",
        "(( 1 ))",
        "((1))",
    ],
    *["show # x", "#show", "show #", "# show", "show a#b"],
    # Assignments before the command, also those that only zsh or ksh knows
    *[
        "A=b show",
        "A= show",
        "A+=b show",
        "a[0]=b show",
        "A=b",
        "_=x show",
        "A='b c' show",
        "'A=b' show",
    ],
    *[
        "1=b show",
        "0=b show",
        "a.b=c show",
        ".sh.x=y show",
        "A=b B=c show",
        "PATH=. show",
        "IFS=/ show",
    ],
    *[
        "LD_PRELOAD=./x.so show",
        "BASH_ENV=x show",
        "ENV=x show",
        "A=$(id) show",
        "é=x show",
        "==x show",
    ],
    # First words that a shell takes for options, jobs or nothing
    *[
        "",
        " ",
        "\t",
        "''",
        '""',
        "'' show",
        "-c show",
        "- show",
        "--",
        "+x show",
        "%1",
        "%show",
        "'-c' show",
    ],
    # Other blanks, signs that do not show, letters that are not plain
    *["show\u00a0x", "show\u2003x", "show\u3000x", "show\u200bx", "show '\u200b'", "show '\u202e'"],
    *[
        "show '\u00ad'",
        "show '\ufeff'",
        "\ufeffshow",
        "show '\u2028id'",
        "show '\x85id'",
        "show '\x9b'",
    ],
    *[
        "show é",
        "show ；id",
        "ｓhow x",
        "show '\ud800'",
        "show '\udcff'",
        "show '\U000e0041'",
        "show '\ue000'",
    ],
    # Not granted: other programs, other cases, builtins that start others
    *[
        "SHOW",
        "show2",
        "sho",
        "shows x",
        "./show",
        "/bin/show",
        "../show",
        "show.",
        "'show '",
        "' show'",
    ],
    *[
        "eval show",
        "exec show",
        "command show",
        "builtin show",
        ". show",
        "source show",
        "env show",
        "sh -c show",
    ],
    *[
        "noglob show",
        "trap show",
        "nohup show",
        "busybox show",
        "xargs show",
        "la x",
        "grep",
        "G",
        "ll -x",
    ],
    *["ll ../x", "ll a/..", "grep --include=x", "... -x", "7z x"],
    "show " + "x" * 40_000,
]


def let_through(line: str) -> tuple[str, ...] | None:
    """The words of a line that parses and is granted: `show` may be told anything."""
    try:
        argv = parse(line).argv
    except BadInput:
        return None
    return argv if argv[0] == "show" or any(matching(GRANTED, argv)) else None


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a program by each name that is granted: it shows how it was called."""
    directory = tmp_path_factory.mktemp("programs")
    show = directory / "show"
    show.write_text('#!/bin/sh\nprintf \'%s\\0\' "${0##*/}" "$@"\n')
    show.chmod(0o755)
    for name in {name for template in GRANTED for name in template.programs}:
        (directory / name).symlink_to("show")
    return directory


def called(shell: list[str], line: str, programs: Path) -> tuple[str, ...]:
    """What a program was called with, where a shell ran `line` as sshd has it run."""
    done = subprocess.run(
        [*shell, "-c", line],
        capture_output=True,
        timeout=10,
        check=False,
        cwd=programs,
        env={"PATH": str(programs), "HOME": str(programs), "LANG": "C.UTF-8"},
    )
    assert done.stderr == b"", (shell, line[:80], done.stderr)
    return tuple(done.stdout.decode().split("\0")[:-1])


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    """A real shell, by its whole path. None is left out: `make test` installs them."""
    name, *more = SHELLS[request.param]
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: these lines are to be tried with it")
    return [found, *more]


def test_the_lines_are_many_and_our_own() -> None:
    """More than two hundred beside those that are tried elsewhere, none of them twice."""
    both = [*TAKEN, *REFUSED]
    assert len(set(both)) == len(both)
    assert len(set(both) - set(REFUSED_ELSEWHERE)) >= 400


@pytest.mark.parametrize("line", REFUSED)
def test_what_a_shell_could_see_something_in_is_refused(line: str) -> None:
    """It does not parse, or no template has it."""
    assert let_through(line) is None


def test_what_is_let_through_is_called_with_what_was_judged(
    shell: list[str], programs: Path
) -> None:
    """Each word as it was judged, and no other: of what is sent, and of what was typed."""
    for line in TAKEN:
        argv = let_through(line)
        assert argv is not None, line
        assert called(shell, str(Command(argv)), programs) == argv, line
        assert called(shell, line, programs) == argv, line
    assert [path.name for path in programs.iterdir() if path.name in {"x", "id"}] == []


SIGNS = "ab1 \t'\"$`\\!;&|<>(){}[]*?~#=%^@+-_:,./\né日\u00a0"
pieces = st.one_of(
    st.text(alphabet="ab1_@%+=:,./-", min_size=1, max_size=6),
    st.text(alphabet=SIGNS.replace("'", ""), max_size=6).map(lambda text: f"'{text}'"),
    st.text(alphabet=SIGNS.replace('"', ""), max_size=6).map(lambda text: f'"{text}"'),
)
typed = st.lists(st.lists(pieces, min_size=1, max_size=3).map("".join), min_size=0, max_size=5).map(
    lambda words: " ".join(["show", *words])
)


@settings(max_examples=60)
@given(line=typed | st.text(alphabet=SIGNS, max_size=12).map("show ".__add__))
def test_no_line_at_all_is_called_otherwise(shell: list[str], programs: Path, line: str) -> None:
    """Whatever hypothesis writes: it is refused, or called with what was judged."""
    argv = let_through(line)
    if argv is not None:
        assert called(shell, str(Command(argv)), programs) == argv
        assert called(shell, line, programs) == argv


# Another reader of the same language

BASH = Parser(Language(tree_sitter_bash.language()))

ERRS = frozenset({"a@b"})
"""What the grammar can't read though bash, asked above, can: an `@` alone in a first word."""


def read_by_another(line: str) -> tuple[str, ...] | None:
    """The words of the one plain command that tree-sitter's grammar of bash sees, if it does."""
    program = BASH.parse(line.encode()).root_node
    if program.has_error or [node.type for node in program.children] != ["command"]:
        return None
    return tuple(map(_word, program.children[0].children))


def _word(node: Node) -> str:
    text = (node.text or b"").decode()
    if node.type in {"command_name", "concatenation"}:
        return "".join(map(_word, node.children)) if node.children else text
    if node.type in {"raw_string", "string"}:
        inside = {child.type for child in node.children} - {'"', "string_content"}
        assert not inside, text
        return text[1:-1]
    assert node.type in {"word", "number"}, (node.type, text)
    return text


@settings(max_examples=400)
@given(line=typed | st.text(alphabet=SIGNS, max_size=20))
def test_another_reader_sees_one_plain_command(line: str) -> None:
    """With the same words, in what is sent and in what was typed."""
    try:
        command = parse(line)
    except BadInput:
        return
    if set("@%") & set(command.argv[0]):
        return  # see ERRS; `1@` and `1%` are others
    assert read_by_another(str(command)) == command.argv
    assert read_by_another(line.strip(" \t")) == command.argv


@pytest.mark.parametrize("line", [x for x in TAKEN if len(x) < 1000 and x not in ERRS])
def test_another_reader_agrees_on_the_lines_above(line: str) -> None:
    """One by one."""
    assert read_by_another(str(parse(line))) == parse(line).argv
