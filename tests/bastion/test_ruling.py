"""What the rules say: the first rule that fits decides; a no names what the nearest wanted."""

import time
from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.grants import Allows
from bastion.inventory import Host, Role, User
from bastion.rules import Mode, Rule, Rules
from bastion.ruling import Asking, Key, Refusal, Ruling, Way, explain, rule_for
from bastion.templates import Template, parse_template
from bastion.windows import parse_window
from tests.bastion.rulesets import any_rule, rules
from tests.bastion.values import (
    all_hosts,
    all_users,
    commands,
    logins,
    networks,
    selectors,
    windows,
)
from tests.bastion.worlds import HOUR, NOW, SHELL, host
from tests.bastion.worlds import selectors as chosen

ANN = User("ann", frozenset({Role.CONTRACTOR}), frozenset({"web"}))
INVENTORY = (
    host("web-1", aliases=["w1"], labels=[("env", "prod")]),
    host("web-2", labels=[("env", "test")]),
    host("db-1", labels=[("env", "prod")]),
)
ASKING = Asking(ANN, chosen("web-1"), frozenset({"deploy"}), SHELL, HOUR, reason="to see")


def run(*lines: str) -> Allows:
    """Commands, and no shell."""
    return Allows(commands=tuple(parse_template(line) for line in lines))


def ruled(asking: Asking, *texts: str) -> Ruling:
    """The rules' yes."""
    answer = rule_for(rules(*texts), asking, INVENTORY)
    assert isinstance(answer, Ruling), answer
    return answer


def refused(asking: Asking, *texts: str) -> Refusal:
    """The rules' no."""
    answer = rule_for(rules(*texts), asking, INVENTORY)
    assert isinstance(answer, Refusal), answer
    assert answer.sentence.isprintable()
    return answer


def test_the_first_rule_that_fits_decides() -> None:
    """Later ones are not looked at, earlier ones that do not fit neither."""
    answer = ruled(
        ASKING,
        'hosts = ["db-*"]',
        'approvals = [{ from = ["@leads"] }]\nwatch = true\nkeys = "hardware"',
        "automatic = true",
    )
    assert answer.rule.name == "rule 2"
    assert answer.version == "ab" * 32
    assert [str(need) for need in answer.needs] == ["one of @leads"]
    assert (answer.watch, answer.hardware, answer.missing) == (True, True, ())


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        *[("systemctl restart nginx", True), ("systemctl restart {nginx,php-fpm}", True)],
        *[("systemctl restart {word}", True), ("tail {path:/var/log/nginx}", True)],
        *[("systemctl restart -f", False), ("systemctl {restart,stop} nginx", False)],
        *[("systemctl restart {word!}", False), ("systemctl restart {words}", False)],
        *[("{tty} systemctl restart nginx", False), ("tail {path:/var}", False)],
        *[("tail {word}", False), ("tail /var/log/../x", False), ("tail /var/log/x", True)],
    ],
)
def test_what_is_asked_lies_within_a_template_of_the_rule(line: str, *, fits: bool) -> None:
    """An exact line, or a template all of whose lines the rule's would let through."""
    rule = """allow = ["command"]\nautomatic = true
        commands = ["systemctl restart {word}", "tail {path:/var/log}"]"""
    asking = replace(ASKING, allows=run(line))
    if fits:
        assert ruled(asking, rule).rule.name == "rule 1"
    else:
        said = refused(asking, rule)
        assert said.code is Key.COMMANDS
        assert "systemctl restart {word} or tail {path:/var/log}" in said.sentence


def test_no_rule_no_access() -> None:
    """Default deny."""
    answer = rule_for(Rules("", (), ""), ASKING, INVENTORY)
    assert isinstance(answer, Refusal)
    assert answer.code is Key.WAY
    assert answer.sentence.startswith("No rule gives ann access to web-1;")


@pytest.mark.parametrize(
    ("text", "way", "needs"),
    [
        ("automatic = true", Way.REQUEST, 0),
        ("automatic = true", Way.OPERATOR, 0),
        ("automatic = true", Way.EMERGENCY, None),
        ('approvals = [{ from = ["bob"] }]', Way.REQUEST, 1),
        ('approvals = [{ from = ["bob"] }]', Way.OPERATOR, 1),
        ('approvals = [{ from = ["bob"] }]', Way.EMERGENCY, None),
        ("operators = true", Way.REQUEST, None),
        ("operators = true", Way.OPERATOR, 0),
        ("emergency = true", Way.REQUEST, None),
        ("emergency = true", Way.OPERATOR, None),
        ("emergency = true", Way.EMERGENCY, 0),
        ('operators = true\napprovals = [{ from = ["bob"] }]', Way.OPERATOR, 0),
        ('operators = true\napprovals = [{ from = ["bob"] }]', Way.REQUEST, 1),
        ('emergency = true\napprovals = [{ from = ["bob"] }]', Way.EMERGENCY, 0),
    ],
)
def test_ways(text: str, way: Way, needs: int | None) -> None:
    """Each rule gives in its own ways only, and each way takes its own consent."""
    answer = rule_for(rules(text), replace(ASKING, way=way), INVENTORY)
    assert (len(answer.needs) if isinstance(answer, Ruling) else None) == needs


def test_hosts_that_are_not_there_sound_like_those_that_are_forbidden() -> None:
    """Word for word, whatever the rules open to others or in other ways."""
    opened = ('who = ["bob"]', 'hosts = ["db-1"]\noperators = true', 'hosts = ["web-1"]')
    hidden = refused(replace(ASKING, hosts=chosen("db-1")), *opened)
    absent = refused(replace(ASKING, hosts=chosen("db-9")), *opened)
    assert hidden.sentence.replace("db-1", "db-9") == absent.sentence
    assert "ssh bastion hosts" in absent.sentence
    both = refused(replace(ASKING, hosts=chosen("web-1", "db-1", "db-9")), *opened)
    assert both.sentence.startswith("No rule gives ann access to db-1 and db-9;")


def test_what_is_not_there_is_opened_by_no_rule() -> None:
    """Not even by one for everything."""
    assert refused(replace(ASKING, hosts=chosen("nowhere")), "").code is Key.HOSTS


def test_an_alias_is_the_host_that_it_names() -> None:
    """The rule speaks of names, whoever asks may type an alias."""
    assert ruled(replace(ASKING, hosts=chosen("w1")), 'hosts = ["web-*"]').rule.name == "rule 1"


@pytest.mark.parametrize(
    ("change", "text", "key", "said"),
    [
        (
            {"logins": frozenset({"root"})},
            'logins = ["web", "app"]',
            Key.LOGINS,
            "No rule lets ann log in to web-1 as root; app or web can be asked for.",
        ),
        (
            {},
            'allow = ["command"]',
            Key.ALLOW,
            "No rule gives ann a shell on web-1; commands can be asked for.",
        ),
        (
            {"allows": run("id")},
            'allow = ["command"]\ncommands = ["uptime", "df -h"]',
            Key.COMMANDS,
            "No rule lets ann run id on web-1; these can be asked for: df -h or uptime.",
        ),
        (
            {"duration": 9 * HOUR},
            'longest = "8h"',
            Key.LONGEST,
            "9h is too long for web-1: at most 8h.",
        ),
        (
            {"window": parse_window("sat", None, None)},
            'days = "mon-fri"',
            Key.HOURS,
            "web-1 can be used within these hours only: mon-fri 00:00-00:00 UTC.",
        ),
        ({"starts_at": NOW}, 'days = "sat,sun"', Key.HOURS, "sat,sun 00:00-00:00 UTC."),
        (
            {"sources": (ip_network("10.0.0.0/8"),)},
            'sources = ["10.1.0.0/16"]',
            Key.SOURCES,
            "web-1 can be used from these networks only: 10.1.0.0/16.",
        ),
        (
            {"way": Way.EMERGENCY},
            "",
            Key.WAY,
            "access to web-1 in an emergency; ask for it (ssh bastion request).",
        ),
        ({"way": Way.OPERATOR}, 'who = ["bob"]', Key.HOSTS, "No rule gives ann access to web-1."),
    ],
)
def test_what_the_nearest_rule_wanted(
    change: dict[str, object], text: str, key: Key, said: str
) -> None:
    """One calm sentence, and a word for the log."""
    asking = replace(ASKING, **change)  # type: ignore[arg-type]
    answer = refused(asking, 'who = ["bob"]', 'hosts = ["db-*"]', text)
    assert (answer.code, answer.sentence[-len(said) :]) == (key, said)


def test_of_several_near_rules_the_most_is_told() -> None:
    """The longest of the durations, all of the logins."""
    asking = replace(ASKING, duration=99 * HOUR)
    assert refused(asking, 'longest = "1h"', 'longest = "8h"').sentence.endswith("at most 8h.")
    few = [f'logins = ["l{number}"]' for number in range(6)]
    assert "; l0, l1, l2 or 3 more can be asked for" in refused(ASKING, *few).sentence


def test_a_shell_includes_any_command() -> None:
    """What is narrower than a rule allows fits it."""
    assert (
        ruled(replace(ASKING, allows=run("id", "df -h")), 'allow = ["shell"]').rule.name == "rule 1"
    )
    assert ruled(replace(ASKING, allows=run("id")), 'allow = ["command"]').rule.name == "rule 1"


def test_hours_and_networks_are_the_rules_or_ones_own() -> None:
    """Her own have to lie within."""
    text = 'days = "mon-fri"\nsources = ["10.0.0.0/8"]'
    answer = ruled(ASKING, text)
    assert (str(answer.window), answer.sources) == (
        "mon-fri 00:00-00:00 UTC",
        (ip_network("10.0.0.0/8"),),
    )
    monday, near = parse_window("mon", "09:00-12:00", None), (ip_network("10.1.0.0/16"),)
    own = ruled(replace(ASKING, window=monday, sources=near), text)
    assert (own.window, own.sources) == (monday, near)
    free = ruled(replace(ASKING, window=monday, sources=near), "")
    assert (free.window, free.sources) == (monday, near)


def test_where_the_start_is_known_some_hours_have_to_be_left() -> None:
    """NOW is a Monday's noon."""
    assert (
        ruled(replace(ASKING, starts_at=NOW, duration=6 * HOUR), 'hours = "17:00-18:00"').rule.name
        == "rule 1"
    )
    short = replace(ASKING, starts_at=NOW, duration=5 * HOUR)
    assert refused(short, 'hours = "17:00-18:00"').code is Key.HOURS
    assert ruled(replace(short, starts_at=None), 'hours = "17:00-18:00"').rule.name == "rule 1"


@pytest.mark.parametrize(
    ("reason", "ticket", "missing"),
    [
        ("an incident", "OPS-1", []),
        (
            None,
            None,
            ["The reason is missing: say --reason", "The ticket is missing: say --ticket"],
        ),
        ("  ", " ", ["The reason is missing", "The ticket is missing"]),
        ("because", "OPS-1", ["The reason has to have (?i)incident in it"]),
        ("Incident", "see OPS-1", ["The ticket 'see OPS-1' has to have the form OPS-[0-9]+."]),
        ("Incident", "\x1b[2J" * 50, ["The ticket '\\x1b[2J"]),
    ],
)
def test_what_is_missing(reason: str | None, ticket: str | None, missing: list[str]) -> None:
    """Named, a sentence each; the rule decides all the same."""
    asking = replace(ASKING, reason=reason, ticket=ticket)
    said = ruled(asking, 'reason = "(?i)incident"\nticket = "OPS-[0-9]+"', "").missing
    assert len(said) == len(missing)
    for sentence, begin in zip(said, missing, strict=True):
        assert sentence.startswith(begin)
        assert sentence.isprintable()
        assert len(sentence) < 200


def test_a_reason_is_always_wanted_and_a_ticket_never_harms() -> None:
    """Also where the rule says nothing about them."""
    assert ruled(replace(ASKING, reason=None), "").missing == (
        "The reason is missing: say --reason and a few words.",
    )
    assert ruled(replace(ASKING, ticket="anything"), "").missing == ()


def test_explaining_names_each_look() -> None:
    """In order, with what the rule wants and what was asked."""
    told = explain(rules('longest = "30m"', 'hosts = ["db-*"]', ""), ASKING, INVENTORY)
    assert [(step.rule, step.decides) for step in told] == [
        ("rule 1", False),
        ("rule 2", False),
        ("rule 3", True),
    ]
    assert [check.key for check in told[0].checks] == list(Key)
    failed = {c.key: (c.wanted, c.asked) for step in told for c in step.checks if not c.passed}
    assert failed == {Key.LONGEST: ("at most 30m", "1h"), Key.HOSTS: ("db-*", "web-1")}


askings = st.builds(
    Asking,
    user=all_users.map(lambda users: users[0]),
    hosts=st.lists(selectors, min_size=1, max_size=2).map(tuple),
    logins=st.frozensets(logins, min_size=1, max_size=2),
    allows=st.just(SHELL)
    | st.lists(commands, min_size=1, max_size=2).map(lambda some: Allows(commands=tuple(some))),
    duration=st.sampled_from([HOUR, 2 * HOUR, 9 * HOUR]),
    way=st.sampled_from(Way),
    reason=st.sampled_from([None, "inc 1"]),
    window=st.none() | windows,
    sources=st.lists(networks, max_size=1).map(tuple),
    starts_at=st.sampled_from([None, NOW]),
)
rulesets = st.lists(any_rule(), max_size=4).map(
    lambda made: Rules(
        "cd" * 32, tuple(replace(r, name=f"rule {n}") for n, r in enumerate(made)), ""
    )
)


@given(made=rulesets, asking=askings, hosts=all_hosts)
@settings(max_examples=100)
def test_explaining_agrees_with_ruling(
    made: Rules, asking: Asking, hosts: tuple[Host, ...]
) -> None:
    """The rule that decides is the first whose looks all passed."""
    answer, told = rule_for(made, asking, hosts), explain(made, asking, hosts)
    fits = [step.rule for step in told if all(check.passed for check in step.checks)]
    assert [step.rule for step in told if step.decides] == fits[:1]
    if isinstance(answer, Ruling):
        assert fits[0] == answer.rule.name
    else:
        assert fits == []
        assert answer.sentence.isprintable()
        assert (
            any(not c.passed and c.key is answer.code for s in told for c in s.checks) or not told
        )


LINES = (("uptime",), ("ls", "/tmp"), ("ls", "/tmp/x"), ("df",), ("df", "a b"))
"""For each of the templates in `values` a line that only it lets through, and some others."""


def opens(rule: Rule, host: Host, login: str, command: Template | None) -> bool:
    """One rule about one concrete thing, without any containment."""
    if not any(selector.matches(host) for selector in rule.hosts):
        return False
    if rule.logins is not None and login not in rule.logins:
        return False
    if Mode.SHELL in rule.modes:
        return True
    if command is None or rule.commands is None:
        return command is not None
    wanted = [argv for argv in LINES if command.matches(argv)]
    return all(any(template.matches(argv) for template in rule.commands) for argv in wanted)


@given(made=any_rule(), asking=askings, hosts=all_hosts)
@settings(max_examples=200)
def test_matching_agrees_with_brute_force(
    made: Rule, asking: Asking, hosts: tuple[Host, ...]
) -> None:
    """A yes opens nothing that the rule does not; for hosts by name, a no never refuses it all."""
    asking = replace(asking, window=None, sources=(), starts_at=None)
    wanted = (None,) if asking.allows.shell else asking.allows.commands
    things = [
        (each, login, command)
        for each in hosts
        if any(selector.matches(each) for selector in asking.hosts)
        for login in asking.logins
        for command in wanted
    ]
    ways = {
        Way.REQUEST: made.automatic or made.needs != (),
        Way.OPERATOR: made.operators or made.automatic or made.needs != (),
        Way.EMERGENCY: made.emergency,
    }
    who = any(
        str(p) in {"*", asking.user.name, *(f"@{g}" for g in asking.user.groups)} for p in made.who
    )
    fits = ways[asking.way] and who and asking.duration <= made.longest
    fits = fits and all(opens(made, *thing) for thing in things)
    answer = rule_for(Rules("", (made,), ""), asking, hosts)
    if isinstance(answer, Ruling):
        assert fits
    elif all(s.exact and any(s.matches(each) for each in hosts) for s in asking.hosts):
        assert not fits


@given(made=rulesets, asking=askings, hosts=all_hosts, data=st.data())
def test_a_narrower_question_is_never_refused_by_the_rule(
    made: Rules, asking: Asking, hosts: tuple[Host, ...], data: st.DataObject
) -> None:
    """What was allowed, with less of everything, is allowed."""
    one = Rules("", made.rules[:1], "")
    if not isinstance(rule_for(one, asking, hosts), Ruling):
        return
    less = replace(
        asking,
        hosts=asking.hosts[:1],
        logins=frozenset(sorted(asking.logins)[:1]),
        duration=asking.duration / 2,
        allows=data.draw(st.sampled_from([asking.allows, run("uptime")]))
        if asking.allows.shell
        else Allows(commands=asking.allows.commands[:1]),
        starts_at=None,
    )
    assert isinstance(rule_for(one, less, hosts), Ruling)


@given(made=rulesets, asking=askings, hosts=all_hosts)
def test_a_ruling_is_never_wider_than_its_rule(
    made: Rules, asking: Asking, hosts: tuple[Host, ...]
) -> None:
    """Hours and networks of the rule hold, whatever was asked."""
    answer = rule_for(made, asking, hosts)
    if isinstance(answer, Refusal):
        return
    if answer.rule.window is not None:
        assert answer.window is not None
        assert answer.rule.window.covers(answer.window)
    for network in answer.rule.sources and answer.sources:
        assert any(network[0] in around and network[-1] in around for around in answer.rule.sources)
    assert bool(answer.rule.sources) <= bool(answer.sources)
    assert (answer.watch, answer.hardware) == (answer.rule.watch, answer.rule.hardware)


def test_two_hundred_rules_and_five_hundred_hosts_take_no_time() -> None:
    """Well below two milliseconds of processor, where the last rule decides."""
    hosts = [host(f"web-{n}", labels=[("env", "prod")], aliases=[f"w{n}"]) for n in range(500)]
    near = ['hosts = ["db-*", "web-??", "label:env=test"]', 'longest = "30m"', 'logins = ["x"]']
    made = rules(*[near[n % 3] for n in range(199)], "")
    asking = replace(ASKING, hosts=chosen("w7", "web-499", "label:env=prod"))
    spent = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(20):
            assert isinstance(rule_for(made, asking, hosts), Ruling)
        spent.append((time.process_time() - begun) / 20)
    assert min(spent) < 0.002
