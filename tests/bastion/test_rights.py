"""Who can, and what can: the auditor's questions agree with what the rules say."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastion.grants import Allows
from bastion.inventory import Host, Role, Selector, User
from bastion.looks import Way
from bastion.rights import Right, may_ask_for, what_can, who_can
from bastion.rules import Mode, Rule, Rules
from bastion.ruling import Asking, Ruling, rule_for
from bastion.shadows import as_much, shadows
from tests.bastion.rulesets import any_rule, rule, rules
from tests.bastion.values import all_hosts, all_users, commands, logins
from tests.bastion.worlds import HOUR, SHELL, host

ANN = User("ann", frozenset({Role.CONTRACTOR}), frozenset({"web"}))
BOB = User("bob", frozenset({Role.APPROVER}))
WEB, DB = host("web-1"), host("db-1")


def said(rights: list[Right]) -> list[tuple[str, str, str, str]]:
    """The rows, shortened."""
    return [(row.user, row.host, row.rule, row.way) for row in rights]


def test_each_rule_and_way_is_a_row() -> None:
    """With everything that an auditor would ask next."""
    made = rules(
        'who = ["@web"]\nlogins = ["deploy"]\nlongest = "8h"\nsources = ["10.0.0.0/8"]\n'
        "watch = true\n"
        'days = "mon"\nkeys = "hardware"\nticket = "OPS"\nreason = "x"\nemergency = true\n'
        'approvals = [{ from = ["@leads"] }]',
        'hosts = ["db-*"]\nallow = ["command"]\ncommands = ["uptime"]\noperators = true',
    )
    rows = who_can(made, WEB, [BOB, ANN])
    assert said(rows) == [
        ("ann", "web-1", "rule 1", "request"),
        ("ann", "web-1", "rule 1", "emergency"),
    ]
    first, second = rows
    assert (first.consent, second.consent) == ("one of @leads", "")
    assert (first.logins, first.modes, first.commands) == (("deploy",), (Mode.SHELL,), ())
    assert first.longest == timedelta(hours=8)
    assert first.limits == (
        "within mon 00:00-00:00 UTC",
        "from 10.0.0.0/8",
        "while an auditor watches",
        "with a hardware key",
        "with a ticket OPS",
        "with a reason that has x in it",
    )
    (row,) = what_can(made, BOB, [WEB, DB])
    assert said([row]) == [("bob", "db-1", "rule 2", "operator")]
    assert (row.logins, row.modes, row.commands) == (("*",), (Mode.COMMAND,), ("uptime",))


def test_what_an_earlier_rule_decides_is_no_row() -> None:
    """The later rule would never be heard for this user on this host."""
    made = rules('approvals = [{ from = ["bob"] }]', "automatic = true", 'logins = ["root"]')
    assert said(what_can(made, ANN, [DB, WEB])) == [
        ("ann", "db-1", "rule 1", "request"),
        ("ann", "web-1", "rule 1", "request"),
    ]
    longer = rules('longest = "1h"', 'longest = "2h"')
    assert [row.rule for row in who_can(longer, WEB, [ANN])] == ["rule 1", "rule 2"]


def test_what_one_may_ask_for_is_what_takes_no_operator() -> None:
    """A rule for operators tells nobody of a host."""
    made = rules(
        'hosts = ["web-*"]\napprovals = [{ from = ["bob"] }]',
        'hosts = ["db-*"]\noperators = true',
    )
    assert may_ask_for(made, ANN, WEB)
    assert not may_ask_for(made, ANN, DB)
    assert may_ask_for(rules("emergency = true"), ANN, DB)


def asked(right: Right, user: User, hours: timedelta) -> Asking:
    """A question that the row says is answered with yes."""
    login = right.logins[0].replace("*", "anything")
    return Asking(
        user,
        (Selector(pattern=right.host),),
        frozenset({login}),
        SHELL,
        hours,
        way=right.way,
    )


@given(made=st.lists(any_rule(), max_size=4), users=all_users, hosts=all_hosts, data=st.data())
def test_rows_and_rulings_agree(
    made: list[Rule], users: tuple[User, ...], hosts: tuple[Host, ...], data: st.DataObject
) -> None:
    """Who is told to have something gets it by some rule; who gets it by a rule is told."""
    all_of = Rules("", tuple(replace(r, name=f"rule {n}") for n, r in enumerate(made)), "")
    user, where = data.draw(st.sampled_from(users)), data.draw(st.sampled_from(hosts))
    rows = who_can(all_of, where, users)
    assert sorted(said(rows)) == sorted(
        said([r for u in users for r in what_can(all_of, u, [where])])
    )
    way = data.draw(st.sampled_from([Way.REQUEST, Way.EMERGENCY]))
    command = data.draw(commands)
    asking = Asking(
        user,
        (Selector(pattern=where.name),),
        frozenset({data.draw(logins)}),
        data.draw(st.sampled_from([SHELL, Allows(commands=(command,))])),
        data.draw(st.sampled_from([HOUR, 9 * HOUR])),
        way=way,
    )
    answer = rule_for(all_of, asking, hosts)
    told = {row.rule for row in rows if row.user == user.name and row.way is way}
    if isinstance(answer, Ruling):
        assert answer.rule.name in told
    for row in rows:
        if row.user == user.name and Mode.SHELL in row.modes and row.way is not Way.OPERATOR:
            assert isinstance(rule_for(all_of, asked(row, user, HOUR), hosts), Ruling)


@given(
    first=any_rule("first"),
    second=any_rule("second"),
    users=all_users,
    hosts=all_hosts,
    data=st.data(),
)
def test_behind_a_shadow_no_rule_decides(
    first: Rule, second: Rule, users: tuple[User, ...], hosts: tuple[Host, ...], data: st.DataObject
) -> None:
    """Whatever is asked, in that way."""
    way = data.draw(st.sampled_from(Way))
    if data.draw(st.booleans()):  # near enough that there often is a shadow
        first = replace(
            second, name="first", who=first.who + second.who, hosts=first.hosts + second.hosts
        )
    asking = Asking(
        data.draw(st.sampled_from(users)),
        (data.draw(st.sampled_from(second.hosts)),),
        data.draw(st.frozensets(logins, min_size=1)),
        data.draw(st.sampled_from([SHELL, Allows(commands=(data.draw(commands),))])),
        HOUR,
        way=way,
        window=data.draw(st.sampled_from([None, second.window])),
        sources=data.draw(st.sampled_from([(), second.sources])),
    )
    answer = rule_for(Rules("", (first, second), ""), asking, hosts)
    if shadows(first, second, way, hosts) and isinstance(answer, Ruling):
        assert answer.rule.name == "first"


def test_what_is_as_much() -> None:
    """Nothing less in any key."""
    plain = rule('logins = ["a", "b"]\nlongest = "2h"')
    for less in (
        'logins = ["a"]\nlongest = "2h"',
        'logins = ["a", "b"]\nlongest = "1h"',
        'logins = ["a"]\nlongest = "1h"\nallow = ["command"]\ncommands = ["id"]',
        'logins = ["a"]\nlongest = "1h"\ndays = "mon"\nsources = ["10.0.0.0/8"]',
    ):
        assert as_much(plain, rule(less))
    for more in ("", 'logins = ["c"]\nlongest = "1h"', 'logins = ["a"]\nlongest = "3h"'):
        assert not as_much(plain, rule(more))
    near = rule(
        'sources = ["10.0.0.0/8"]\ndays = "mon-fri"\nallow = ["command"]\ncommands = ["id"]'
    )
    for other in ("", 'sources = ["10.0.0.0/8"]', 'days = "mon"'):
        assert not as_much(near, rule(f'{other}\nallow = ["command"]\ncommands = ["id"]'))
    assert not as_much(near, rule('sources = ["10.0.0.0/8"]\ndays = "mon"'))
