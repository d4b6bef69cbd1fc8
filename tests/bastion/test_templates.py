"""Command templates: what a line of a grant lets through, and nothing beside it."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bastion import commands
from bastion.commands import Command
from bastion.errors import BadInput
from bastion.patterns import Pattern
from bastion.placeholders import (
    LONGEST,
    Below,
    Literal,
    Matching,
    Number,
    OneOf,
    Open,
    Part,
    Word,
)
from bastion.templates import Template, literal, matching, parse_template

# What is let through


@pytest.mark.parametrize(
    ("line", "takes", "refuses"),
    [
        (
            "systemctl restart {nginx,php-fpm}",
            ["systemctl restart nginx", "systemctl  'restart' \"php-fpm\""],
            [
                *["systemctl restart", "systemctl restart mysql", "systemctl stop nginx"],
                *["systemctl restart nginx php-fpm", "systemctl restart ''", "restart nginx"],
                *["systemctl restart nginx,php-fpm", "Systemctl restart nginx"],
            ],
        ),
        (
            "tail -n {int:1-1000} {path:/var/log}",
            ["tail -n 1 /var/log/syslog", "tail -n 1000 /var/log/nginx/a.log"],
            [
                *["tail -n 0 /var/log/a", "tail -n 1001 /var/log/a", "tail -n 01 /var/log/a"],
                *["tail -n +5 /var/log/a", "tail -n -5 /var/log/a", "tail -n 5. /var/log/a"],
                *["tail -n '٣' /var/log/a", "tail -n '5 ' /var/log/a", "tail -n 5 /var/log"],
                *["tail -n 5 /var/log/", "tail -n 5 /var/log/../shadow", "tail -n 5 /var/logs/a"],
                *["tail -n 5 /var/log/./a", "tail -n 5 /var/log//a", "tail -n 5 var/log/a"],
                *["tail -n 5 /var/log/a/", "tail -n 5 '/var/log/a=../b'", "tail -n 5 //var/log/a"],
            ],
        ),
        (
            "journalctl --no-pager --unit={re:[a-z0-9-]{1,32}}",
            ["journalctl --no-pager --unit=nginx", "journalctl --no-pager --unit=a"],
            [
                *["journalctl --no-pager --unit=", "journalctl --no-pager --unit=-f"],
                *["journalctl --no-pager --unit=Nginx", "journalctl --no-pager nginx"],
                *["journalctl --no-pager --unit=a --file=x", "journalctl --unit=nginx --no-pager"],
            ],
        ),
        (
            "echo {word} {words}",
            ["echo a", "echo a b c", "echo 'a b' /x", "echo x..y", "echo main..dev a-b"],
            [
                *["echo", "echo ''", "echo -n", "echo a -n", "echo a ''", "echo .. a", "echo a .."],
                *["echo ../a", "echo a/..", "echo a/../b", "echo --file=../a", "echo if=../a"],
                *["echo HEAD:../a", "echo 'a ../b'", "echo @../a", "echo 'é..'"],
            ],
        ),
        (
            "echo {word!} {re!:[-.a/]*} {words!}",
            ["echo -n ../a", "echo a a -n -- .. /../"],
            ["echo a", "echo '' a", "echo a ''", "echo a a ''", "echo a b"],
        ),
        ("{head,tail} x", ["head x", "tail x"], ["cat x", "head", "head,tail x"]),
        ("/opt/bin/{a,b}", ["/opt/bin/a"], ["/opt/bin/c", "/opt/bin/", "a"]),
        ("x {'',a} ''", ["x '' ''", "x a ''"], ["x a", "x", "x b ''"]),
        ("x '{a,b}' \"{word}\"", ["x '{a,b}' '{word}'"], ["x a b", "x '{a,b}' y"]),
        ("x {--now,-f}", ["x --now", "x -f"], ["x -n", "x --now -f"]),
        ("x /srv/.{word}", ["x /srv/.a", "x /srv/.a.."], ["x /srv/..", "x /srv/../b", "x /srv/."]),
        ("x -C{word}", ["x -Cbuild"], ["x -C../b", "x -C", "x -C-b", "x -Ca/../../b"]),
        ("x {path:'/srv/my files'}", ["x '/srv/my files/a b'"], ["x '/srv/my files'"]),
        ("x {path:/}", ["x /a", "x /a/b"], ["x /", "x a", "x /../a", "x //"]),
        ("x {words}", ["x", "x a", "x a b"], ["x -a", "x a -a", "y"]),
        ("x {re:a{2}|[\\}]}", ["x aa", "x '}'"], ["x a", "x aaa"]),
        ("{tty} top", ["top"], ["top x", "x"]),
    ],
)
def test_what_a_template_lets_through(line: str, takes: list[str], refuses: list[str]) -> None:
    """Whole words are compared, one by one and to the last."""
    template = parse_template(line)
    assert [let for let in takes if not template.matches(commands.parse(let).argv)] == []
    assert [let for let in refuses if template.matches(commands.parse(let).argv)] == []


def test_a_long_word_is_held_against_no_pattern() -> None:
    """A pattern takes its time for each character, and the contractor writes the word."""
    template = parse_template("x {re:a*}")
    assert template.matches(("x", "a" * LONGEST))
    assert not template.matches(("x", "a" * (LONGEST + 1)))


def test_of_many_those_that_match_are_found() -> None:
    """In their order."""
    lines = ["x a", "{x,y} {word}", "x {words}", "y a"]
    templates = tuple(map(parse_template, lines))
    assert list(map(str, matching(templates, ("x", "a")))) == lines[:3]


# How it is written


@pytest.mark.parametrize(
    ("line", "canonical"),
    [
        ("  uptime\t", "uptime"),
        ("ec'ho' \"a b\" ''", "echo 'a b' ''"),
        ("x {'a',\"b\"}", "x {a,b}"),
        ("x {'a,b',c,''}", "x {'a,b',c,''}"),
        ("x {'re:a',b}", "x {'re:a',b}"),
        ("x {path:/var/log/}", "x {path:/var/log}"),
        ("x {int:007-10}", "x {int:7-10}"),
        ("x '--a b='{word}  {words} ", "x '--a b='{word} {words}"),
        (" {tty}  less x", "{tty} less x"),
        ("x '{tty}'", "x '{tty}'"),
    ],
)
def test_it_is_written_in_one_way(line: str, canonical: str) -> None:
    """Whatever quotes it came in; people read this way in refusals and lists."""
    assert str(parse_template(line)) == canonical
    assert parse_template(canonical) == parse_template(line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        *[("", "empty"), ("{tty}", "empty"), ("{tty} {words}", "empty")],
        *[("{word} x", "names its program"), ("a{word} x", "names its program")],
        *[("{path:/opt} x", "names its program"), ("{int:1-2}", "names its program")],
        *[("x {nginx}", "no placeholder"), ("x {}", "empty"), ("x {a,,b}", "empty")],
        *[
            ("x {a,}", "empty"),
            ("x {a,a}", "twice"),
            ("x {a,b", "has no }"),
            ("x {a b,c}", "blank"),
        ],
        *[("x {a,b}c", "ends its word"), ("x {a,b}{c,d}", "ends its word")],
        *[("x {words} y", "last word"), ("x a{words}", "last word"), ("x {words!}y", "last word")],
        *[("x {tty}", "stands first"), ("{tty}x", "stands first"), ("{tty} {tty} x", "stands")],
        *[
            ("x {int:5}", "two numbers"),
            ("x {int:-1-5}", "two numbers"),
            ("x {int:9-1}", "smaller"),
        ],
        *[("x {int:1-5,7}", "two numbers"), ("x {re:a", "has no }"), ("x {re:(}", "without its )")],
        *[
            ("x {re:(?=a)}", "pattern"),
            ("x {path:a}", "no directory"),
            ("x {path:}", "no directory"),
        ],
        *[("x {path:/a/../b}", "no directory"), ("x {path:/a//b}", "no directory")],
        *[("x {path!:/a}", "'!'"), ("x {wrod}", "no placeholder"), ("x }", "'}'")],
        *[("x {a,$b}", "'$'"), ("x {a,b;c}", "';'"), ("x ={word}", "'='"), ("x {=a,b}", "'='")],
        *[("{if,x} y", "'if'"), ("if {word}", "'if'"), ("A={b,c} x", "assignment"), ("-x", "'-'")],
        *[
            ("{-a,b}", "'-'"),
            ("x *", "'*'"),
            ("x 'a", "no end"),
            ("x {'a", "no end"),
            ("x !", "'!'"),
        ],
        *[("x {a,'b\\'}", "no end"), ("x {'\u202e',a}", "print"), ("x;{word}", "';'")],
        *[("x\n{word}", "taken"), ("x\u00a0{word}", "taken"), ("x" * 40_000, "40000")],
    ],
)
def test_what_is_no_template_is_refused(line: str, said: str) -> None:
    """With what is wrong."""
    with pytest.raises(BadInput, match=re.escape(said)):
        parse_template(line)


# Any template at all

plain = st.text(alphabet="ab01-_./:,=@ {}'\"é", max_size=6)
beginnings = st.sampled_from(["", "", "", "a", "-C", "--f=", "/srv/", "/srv/.", "..", "a b/"])
directories = st.sampled_from(["/", "/a", "/a/b", "/a b", "/a'b", "/.."[:1] + "srv"])
patterns = st.sampled_from(["[a-z]+", "[a-z0-9./-]*", "(?:a|b){1,3}", ".*", "\\.\\./a", "\\{a"])
ranges = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted)
placeholders = st.one_of(
    st.lists(plain, min_size=2, max_size=4, unique=True).map(lambda words: OneOf(tuple(words))),
    st.booleans().map(Word),
    st.builds(Matching, patterns.map(Pattern), st.booleans()),
    directories.map(Below),
    ranges.map(lambda pair: Number(*pair)),
)
parts: st.SearchStrategy[Part] = st.one_of(
    plain.map(Literal), st.builds(Open, beginnings, placeholders)
)
programs: st.SearchStrategy[Part] = st.sampled_from(
    [Literal("x"), Literal("a b"), Open("", OneOf(("x", "y"))), Open("/", OneOf(("x", "y")))]
)


@st.composite
def templates(draw: st.DrawFn) -> Template:
    """Any template that could have been read."""
    words = [draw(programs), *draw(st.lists(parts, max_size=3))]
    rest = draw(st.none() | st.booleans().map(Word))
    template = Template(tuple(words), rest, draw(st.booleans()))
    try:
        parse_template(str(template))
    except BadInput as error:
        assume("may not begin with '='" not in str(error))
        raise
    return template


tricks = st.sampled_from(
    ["", "-", "..", ".", "/", "a", "b", "x", "0", "7", "=", ":", " ", "é", "/a/", "/srv/", "--f="]
)
words = st.lists(tricks, max_size=4).map("".join)
tails = st.lists(words, max_size=4)


def let(template: Template, data: st.DataObject) -> tuple[str, ...]:
    """Words that have a chance to be let through by a template."""
    found: list[str] = []
    for part in template.parts:
        if isinstance(part, Literal):
            found.append(part.word)
        elif isinstance(part.what, OneOf):
            found.append(part.before + data.draw(st.sampled_from(part.what.words)))
        elif isinstance(part.what, Below):
            found.append(part.before + part.what.directory.rstrip("/") + "/" + data.draw(words))
        else:
            found.append(part.before + data.draw(words | st.integers(0, 20).map(str)))
    return (*found, *(data.draw(tails) if template.rest else ()))


@given(template=templates())
def test_reading_what_was_written_gives_the_same(template: Template) -> None:
    """For every template that there can be."""
    assert parse_template(str(template)) == template
    assert str(parse_template(str(template))) == str(template)
    assert str(template).isprintable()


@given(line=st.text(alphabet="ab{}{},:-'\"!\\ /.0123intrewordpathtty*$;=\n", max_size=40))
def test_every_line_is_read_or_refused(line: str) -> None:
    """And what is read is written in a way that is read the same."""
    try:
        template = parse_template(line)
    except BadInput as error:
        said = str(error)
        assert said.isprintable()
        return
    assert parse_template(str(template)) == template


@given(template=templates(), words=tails, data=st.data())
def test_no_placeholder_takes_an_option_or_climbs(
    template: Template, words: list[str], data: st.DataObject
) -> None:
    """Nor an empty word: unless it is free to, or the word was written out."""
    argv = data.draw(st.sampled_from([let(template, data), ("x", *words)]))
    if not template.matches(argv):
        return
    for part, word in zip(template.parts, argv, strict=False):
        if isinstance(part, Open) and not isinstance(part.what, OneOf):
            _demand_harmless(word[len(part.before) :], free=getattr(part.what, "free", False))
    for word in argv[len(template.parts) :]:
        assert template.rest is not None
        _demand_harmless(word, free=template.rest.free)


def _demand_harmless(text: str, *, free: bool) -> None:
    assert text
    if not free:
        assert text[0] != "-"
        assert ".." not in re.split(r"[/=: ,@]", text)


@given(argv=st.lists(plain, min_size=1, max_size=4))
def test_a_line_without_braces_is_the_command_itself(argv: list[str]) -> None:
    """Every command that can be asked for is a template that lets it through and nothing else."""
    try:
        command = commands.checked(argv)
        template = parse_template(str(Command(command)))
    except BadInput:
        return
    assert template.exact == Command(command)
    assert template == literal(Command(command))
    assert template.matches(command)


@given(narrow=templates(), wide=templates(), data=st.data())
def test_within_is_sound(narrow: Template, wide: Template, data: st.DataObject) -> None:
    """Where one is within another, whatever it lets through the other lets through too."""
    if not narrow.within(wide):
        return
    assert wide.tty or not narrow.tty
    for _ in range(5):
        argv = let(narrow, data)
        assert not narrow.matches(argv) or wide.matches(argv)


@given(narrow=parts, wide=parts, data=st.data())
def test_within_is_sound_for_one_word(narrow: Part, wide: Part, data: st.DataObject) -> None:
    """The same for single words, where more of them are within one another."""
    first = Literal("x")
    one, other = Template((first, narrow)), Template((first, wide))
    if one.within(other):
        argv = let(one, data)
        assert not one.matches(argv) or other.matches(argv)


@given(template=templates())
def test_everything_is_within_itself(template: Template) -> None:
    """So that what a rule names can be asked for as the rule writes it."""
    assert template.within(template)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("x a", "x {word}"),
        ("x a", "x {a,b}"),
        ("x {a,b}", "x {c,b,a}"),
        ("x {a,b}", "x {re:[a-z]}"),
        ("x {word}", "x {word!}"),
        ("x {word}", "{tty} x {word}"),
        ("x {int:5-9}", "x {int:1-9}"),
        ("x {int:5-9}", "x {word}"),
        ("x {path:/var/log/nginx}", "x {path:/var/log}"),
        ("x {path:/var/log}", "x {path:/}"),
        ("x {re:[a-z]+}", "x {re!:[a-z]+}"),
        ("x a {word} {words}", "x {words}"),
        ("x {words}", "x {words!}"),
        ("x -n {int:1-9}", "x {words!}"),
        ("x --u={a,b}", "x --u={word}"),
        ("x --u={a,b}", "x {word!}"),
        ("x srv/{int:1-9}", "x {word}"),
        ("{head,tail} x", "{head,tail,cat} {word}"),
    ],
)
def test_what_is_within(narrow: str, wide: str) -> None:
    """And not the other way round."""
    assert parse_template(narrow).within(parse_template(wide))
    assert not parse_template(wide).within(parse_template(narrow))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x {word!}", "x {word}"),
        ("{tty} x", "x"),
        ("x {words}", "x {word}"),
        ("x", "x {word}"),
        ("x -{word}", "x {word}"),
        ("x --u={word}", "x {words}"),
        ("x ../{word}", "x {word}"),
        ("x .{word}", "x {re:[.]+}"),
        ("x {path:/var/logs}", "x {path:/var/log}"),
        ("x {re:[a-z]+}", "x {re:[a-z]*}"),
        ("x {word}", "y {word}"),
        ("x --a={path:/a}", "x --b={path:/a}"),
    ],
)
def test_what_is_not_within(one: str, other: str) -> None:
    """What can't be told for sure is not within either."""
    assert not parse_template(one).within(parse_template(other))


@pytest.mark.parametrize("line", ["x a", "{tty} x 'a b' ''", "x '{a,b}'"])
def test_an_exact_one_is_known(line: str) -> None:
    """One command and no other: also with a terminal."""
    assert parse_template(line).exact is not None


@pytest.mark.parametrize("line", ["x {a,b}", "x {words}", "x a{word}"])
def test_an_open_one_is_no_exact_one(line: str) -> None:
    """Where there is anything to choose."""
    assert parse_template(line).exact is None


def test_a_template_names_its_program() -> None:
    """One that is built otherwise is none."""
    with pytest.raises(ValueError, match="program"):
        Template((Open("", Word()),))
    with pytest.raises(ValueError, match="program"):
        Template(())
