"""The rules: read as a whole, or refused with the file, the line, what is wrong, and the mend."""

import hashlib
import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.durations import LONGEST
from bastion.errors import Misconfigured
from bastion.home import POLICY
from bastion.inventory import Role, User
from bastion.rules import Kind, Mode, Need, Party, Rule, parse_rules
from bastion.templates import parse_template
from bastion.windows import parse_window
from tests.bastion.rulesets import WHOLE, any_rule, party, rule, written
from tests.bastion.worlds import selectors


def test_everything_that_can_be_said() -> None:
    """Texts become hosts, people, durations, patterns, windows, networks."""
    first, second = parse_rules(WHOLE, "policy.toml").rules
    assert first.who == (Party(Kind.GROUP, "contractors"), Party(Kind.USER, "alice"))
    assert first.hosts == selectors("web-*", "label:env=staging")
    assert first.logins == frozenset({"deploy"})
    assert first.modes == {Mode.COMMAND}
    assert first.commands == frozenset({parse_template("systemctl restart nginx")})
    assert first.longest == timedelta(hours=8)
    assert first.needs == (
        Need((Party(Kind.GROUP, "leads"), Party(Kind.LABEL, "owner")), 2),
        Need((Party(Kind.GROUP, "security"),), 1),
    )
    assert first.hardware_approvers
    assert first.approver_login == timedelta(minutes=2)
    assert (first.automatic, first.operators, first.emergency) == (False, True, True)
    assert first.window == parse_window("mon-fri", "09:00-18:00", "Europe/Berlin")
    assert [str(network) for network in first.sources] == ["192.0.2.0/24", "2001:db8::/32"]
    assert first.watch
    assert first.hardware
    assert (first.idle, second.idle) == (None, timedelta(minutes=15))
    assert (second.logins, second.commands, second.longest) == (None, None, LONGEST)
    assert second.automatic


def test_the_version_is_the_hash_of_the_text() -> None:
    """So anybody can find which text a decision was made by."""
    read = parse_rules(WHOLE, "policy.toml")
    assert read.version == hashlib.sha256(WHOLE.encode()).hexdigest()
    assert read.text == WHOLE
    assert parse_rules(WHOLE + "#", "policy.toml").version != read.version


def test_no_rules_are_rules() -> None:
    """Then nobody gets anything."""
    assert parse_rules("", "policy.toml").rules == ()


def test_what_a_new_home_has_is_read() -> None:
    """An operator may give anything for a while; the examples in it can be turned on."""
    (first,) = parse_rules(POLICY, "policy.toml").rules
    assert first.operators
    head, examples = POLICY.split("# [[rule]]", 1)
    turned_on = head + "\n".join(
        line.removeprefix("# ") for line in ("# [[rule]]" + examples).splitlines()
    )
    assert [rule.name for rule in parse_rules(turned_on, "x").rules][1:] == [
        "contractors on staging",
        "break-glass",
    ]


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (Need((party("@leads"),)), "one of @leads"),
        (Need((party("bob"),)), "bob"),
        (Need((party("label:owner"),)), "the host's owner"),
        (Need((party("@security"), party("bob")), 2), "2 of @security or bob"),
        (Need((party("a"), party("@b"), party("label:owner"))), "one of a, @b or the host's owner"),
    ],
)
def test_needs_in_words(need: Need, said: str) -> None:
    """As people are told whom something waits for."""
    assert str(need) == said


def test_whom_a_party_means() -> None:
    """A user by name, a group by membership, everybody; a label means nobody without a host."""
    ann = User("ann", frozenset({Role.CONTRACTOR}), frozenset({"web"}))
    meant = {
        text: rule(f'who = ["{text}"]').is_for(ann) for text in ("*", "ann", "@web", "@ann", "web")
    }
    assert meant == {"*": True, "ann": True, "@web": True, "@ann": False, "web": False}
    assert not party("label:web").means(ann)


@given(made=st.lists(any_rule(), max_size=4))
def test_what_is_written_is_read(made: list[Rule]) -> None:
    """Every rule that can be, written down and read again."""
    named = [
        Rule(**{**{k: getattr(one, k) for k in Rule.__slots__}, "name": f"rule {n}"})
        for n, one in enumerate(made)
    ]
    assert parse_rules("\n".join(map(written, named)), "policy.toml").rules == tuple(named)


def changed(old: str, new: str) -> str:
    """The whole file with one thing written otherwise."""
    assert WHOLE.count(old) >= 1
    return WHOLE.replace(old, new, 1)


MISTAKES = [
    # The whole file
    ("x =", None, "is not TOML: Invalid value"),
    ("x = " + "[" * 5000, None, "nested too deeply"),
    ("#" * 300_000, None, "is longer than 262144 bytes"),
    ("rule = 3", 1, "rule has to be a list of tables: write [[rule]] on a line of its own."),
    ('\n[rule]\nname = "x"', 2, "rule has to be a list of tables: write [[rule]]"),
    ("rule = [3]", 1, "rule has to be a list of tables"),
    ("\n[[rules]]", 2, "'rules' is not a setting. Do you mean rule?"),
    (
        "\n".join(WHOLE.split("\n\n")[2].replace("on call", str(n)) for n in range(501)),
        1,
        "rule has more than 500 entries",
    ),
    # What is not there
    (changed('name = "on call"', ""), 28, "rule.name is missing"),
    (changed('who = ["*"]', ""), 28, "rule.who is missing"),
    (changed('hosts = ["*"]', ""), 28, "rule.hosts is missing"),
    (changed('logins = ["*"]', ""), 28, "rule.logins is missing"),
    (changed('allow = ["shell", "command"]', ""), 28, "rule.allow is missing"),
    (changed("automatic = true", ""), 28, "rule 'on call': nobody gets anything by it: add appr"),
    (changed("automatic = true", "automatic = false"), 28, "nobody gets anything by it"),
    # Names of keys
    (
        changed("automatic", "automatc"),
        34,
        "'rule.automatc' is not a setting. Do you mean automatic?",
    ),
    (changed("from", "form"), 14, "'rule.approvals.form' is not a setting. Do you mean from?"),
    (changed("from", "sources"), 14, "'rule.approvals.sources' is not a setting."),
    (changed("count", "n"), 14, "Known here: count, from."),
    (changed("watch", "zzz"), 25, "'rule.zzz' is not a setting. Known here: allow, approvals"),
    # People
    (changed('"@contractors"', '"@"'), 5, "rule.who: '' can't be a group name"),
    (changed('"alice"', '"al ice"'), 5, "rule.who: 'al ice' can't be a user name"),
    (changed('"alice"', '"g-7"'), 5, "'g-7' can't be a user name"),
    (changed('"alice"', '"label:owner"'), 5, "can say who approves, not who asks"),
    (changed('["@contractors", "alice"]', "[]"), 5, "rule.who is empty: name at least one"),
    (changed('["@contractors", "alice"]', '"alice"'), 5, "rule.who has to be a list: write it as"),
    (changed('"alice"', "3"), 5, "rule.who: has to be a text between quotes (it is '3')"),
    (
        changed('["@contractors", "alice"]', '["a"' + ', "b"' * 200 + "]"),
        5,
        "more than 200 entries",
    ),
    # Hosts, each on a line of its own
    (changed('"web-*"', '"web-*!"'), 7, "rule.hosts: 'web-*!' can't be a host pattern"),
    (changed("label:env=staging", "label:env"), 8, "rule.hosts: 'env' is not a label"),
    (changed("label:env=staging", "we b"), 8, "'we b' can't be a host name"),
    # Logins, modes, commands
    (changed('"deploy"', '"-x"'), 10, "rule.logins: '-x' can't be a login"),
    (
        changed('["command"]', '["shel"]'),
        11,
        "rule.allow: 'shel' can't be allowed: shell, command, sftp or forward",
    ),
    (changed('["command"]', '["shell"]'), 12, "commands limit nothing beside a shell"),
    (changed('["command"]', '["shell", "command"]'), 12, "commands limit nothing beside a shell"),
    (changed('["command"]', "[]"), 11, "rule.allow is empty"),
    (
        changed("restart nginx", "restart; id"),
        12,
        "rule.commands: ';' at character 18 is not taken",
    ),
    (changed("systemctl restart nginx", ""), 12, "rule.commands: the command is empty"),
    # Times
    (changed('"8h"', '"8"'), 13, "rule.longest: '8' is not a duration"),
    (changed('"8h"', "8"), 13, "rule.longest: has to be a text between quotes"),
    (changed('"2m"', '"0s"'), 16, "rule.approver_login: '0s' is no time at all"),
    (
        changed("mon-fri", "mo-fri"),
        21,
        "rule.days: 'mo-fri' has a day that is none: do you mean mon?",
    ),
    (changed("09:00-18:00", "9-18"), 22, "rule.hours: '9-18' are no hours"),
    (changed("Europe/Berlin", "Europe/Berln"), 23, "rule.tz: 'Europe/Berln' is no time zone"),
    (WHOLE + 'tz = "UTC"', 36, "rule 'on call': tz means nothing without days or hours"),
    # Approvals
    (changed('"@leads"', '"*"'), 14, "rule.approvals.from: not everybody can approve"),
    (changed("label:owner", "label:o=x"), 14, "'o=x' can't be a group name"),
    (
        changed("count = 2", "count = 0"),
        14,
        "rule.approvals.count: input should be greater than or",
    ),
    (changed("count = 2", "count = 21"), 14, "less than or equal to 20"),
    (changed("count = 2", 'count = "2"'), 14, "rule.approvals.count: input should be a valid int"),
    (changed('["@security"]', "[]"), 14, "rule.approvals.from is empty"),
    (
        changed('{ from = ["@security"] }', '"@security"'),
        14,
        "has to be a list of tables, as in [{",
    ),
    (changed("approvals = [{", "approvals = [] # [{"), 14, "rule.approvals is empty"),
    (
        changed("approvals = [{", 'approvals = "@leads" # [{'),
        14,
        "rule.approvals has to be a list of",
    ),
    (changed('approver_keys = "hardware"', 'approver_keys = "soft"'), 15, "should be 'hardware'"),
    (WHOLE + 'approver_keys = "hardware"', 36, "approver_keys means nothing without approvals"),
    (WHOLE + 'approver_login = "1m"', 36, "approver_login means nothing without approvals"),
    (WHOLE + 'approvals = [{ from = ["a"] }]', 34, "automatic = true asks for no approvals"),
    # The rest
    (
        changed("operators = true", 'operators = "yes"'),
        17,
        "rule.operators has to be true or false",
    ),
    (changed("watch = true", "watch = 1"), 25, "rule.watch has to be true or false"),
    (changed("[Ii]ncident", "(a"), 19, "rule.reason: the pattern has a ( without its )"),
    (changed("OPS-[0-9]+", "a" * 201), 20, "rule.ticket: the pattern has 201 characters; at most"),
    (changed("OPS-[0-9]+", "(?=x)"), 20, "rule.ticket: the pattern can't be read from '(?='"),
    (changed("192.0.2.0/24", "192.0.2.1/24"), 24, "do you mean 192.0.2.0/24?"),
    (changed("192.0.2.0/24", "office"), 24, "rule.sources: 'office'"),
    (changed('keys = "hardware"\n\n', 'keys = "yes"\n\n'), 26, "rule.keys: input should be 'hardw"),
    (changed('"on call"', '"Contractors on Staging"'), 29, "another one has this name"),
    (changed('"on call"', '""'), 29, "rule.name: the name is empty"),
    (changed('"on call"', '"a\\u001bb"'), 29, "rule.name: the name has control characters"),
    (changed('"on call"', f'"{"a" * 81}"'), 29, "rule.name: the name has 81 characters"),
]


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES)
def test_what_can_be_wrong(text: str, line: int | None, said: str) -> None:
    """One sentence, with the very line."""
    with pytest.raises(Misconfigured) as refusal:
        parse_rules(text, "/h/policy.toml")
    sentence = str(refusal.value)
    assert said in sentence
    where = "/h/policy.toml" if line is None else f"/h/policy.toml, line {line}:"
    assert sentence.startswith(where)
    assert sentence.isprintable()
    assert sentence.endswith((".", "?"))
    assert len(sentence) < 500


@given(
    at=st.integers(0, len(WHOLE)),
    cut=st.integers(0, 20),
    put=st.text("[]{}=\"'\n, abc@*:-1", max_size=5),
)
def test_any_text_is_rules_or_a_sentence(at: int, cut: int, put: str) -> None:
    """However a file is broken."""
    text = WHOLE[:at] + put + WHOLE[at + cut :]
    try:
        parse_rules(text, "policy.toml")
    except Misconfigured as error:
        said = str(error)
        assert said.startswith("policy.toml")
        assert said.isprintable()


PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
EXAMPLES = [
    "\n".join(line.removeprefix("    ") for line in block.splitlines())
    for block in re.findall(r"(?:(?<=\n)(?:    .*)?\n)+", PAGE.read_text())
    if "[[rule]]" in block
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_are_rules(example: str) -> None:
    """docs/policy.md can be copied from."""
    assert parse_rules(example, PAGE).rules


def test_the_page_knows_every_key() -> None:
    """And ends with the rule of a new home."""
    text = PAGE.read_text()
    said = "\n".join(EXAMPLES)
    assert said.count("[[rule]]") == text.count("[[rule]]")
    keys = set(re.findall(r"(?m)^(\w+) = ", WHOLE))
    assert {key for key in keys if f"`{key}" not in text} == set()
    assert parse_rules(EXAMPLES[-1], "x").rules == parse_rules(POLICY, "y").rules
