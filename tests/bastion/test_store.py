"""The store: what is kept comes back as it was, and nobody's write is lost."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_network

import pytest
from sqlalchemy import Connection, event, insert, text
from sqlalchemy.exc import StatementError

from bastion import tables
from bastion.actor import Actor
from bastion.commands import Command
from bastion.errors import Conflict, NotFound
from bastion.events import What
from bastion.grants import Allows, State
from bastion.inventory import Role, User
from bastion.jumps import Jump, Passage
from bastion.store import Store
from bastion.store.events import Wanted as WantedEvents
from bastion.store.grants import MOST_LIVE, _columns
from bastion.store.grants import Wanted as WantedGrants
from bastion.store.inbox import Inbox
from bastion.store.journal import Journal
from bastion.store.jumps import Wanted as WantedJumps
from bastion.store.users import MOST_KEYS
from bastion.templates import parse_template
from bastion.windows import parse_window
from tests.bastion.worlds import BOB, HOUR, NOW, ROOT, SECOND, grant, host, key, selectors, user


def at_once(work: Callable[[int], object], times: int, threads: int = 8) -> list[object]:
    """What `work(0)`, `work(1)`, … gave or raised, run by several threads together."""

    def tried(number: int) -> object:
        try:
            return work(number)
        except (Conflict, NotFound) as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(tried, range(times)))


# Users


def test_a_user_comes_back_whole(store: Store) -> None:
    """With roles, groups, end and keys, and who enrolled."""
    alice = User(
        name="alice",
        roles=frozenset({Role.CONTRACTOR, Role.APPROVER}),
        groups=frozenset({"db", "web"}),
        email="alice@example.org",
        sponsor="bob",
        until=NOW + HOUR,
        enrolled_by="os:root",
        keys=(key("one"), key("two")),
    )
    store.add_user(alice, ROOT, NOW)
    assert store.user("alice") == alice
    assert store.user("bob") is None
    assert store.users() == [alice]


def test_users_are_listed_by_name(peopled: Store) -> None:
    """Each once, whatever number of keys."""
    peopled.add_user(user("aaron", keys=3), ROOT, NOW)
    peopled.add_user(user("carol", keys=0), ROOT, NOW)
    assert [u.name for u in peopled.users()] == ["aaron", "alice", "bob", "carol"]
    assert [len(u.keys) for u in peopled.users()] == [3, 1, 1, 0]


def test_a_name_is_given_once(peopled: Store) -> None:
    """And the first keeps what it had."""
    with pytest.raises(Conflict, match="There is a user alice already"):
        peopled.add_user(replace(user("alice"), keys=(key("new"),)), ROOT, NOW)
    assert peopled.owner_of(b"new") is None


def test_a_key_belongs_to_one_user(peopled: Store) -> None:
    """The sentence names whose it is; a user with a taken key is not added at all."""
    with pytest.raises(Conflict, match="belongs to alice"):
        peopled.enrol_key("bob", key("alice-1"), ROOT, NOW)
    with pytest.raises(Conflict, match="alice has it already"):
        peopled.enrol_key("alice", key("alice-1"), ROOT, NOW)
    with pytest.raises(Conflict, match="belongs to alice"):
        peopled.add_user(replace(user("carol"), keys=(key("alice-1"),)), ROOT, NOW)
    assert peopled.user("carol") is None


def test_one_key_for_two_people_at_once(peopled: Store) -> None:
    """Whoever is first has it; the other hears so."""
    results = at_once(
        lambda n: peopled.enrol_key(["alice", "bob"][n % 2], key("new"), ROOT, NOW), 8
    )
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 7


def test_a_key_can_be_taken_away_and_given_to_another(peopled: Store) -> None:
    """Only whose it is can lose it."""
    fingerprint = key("alice-1").fingerprint
    with pytest.raises(NotFound, match="bob has no key SHA256:alice-1"):
        peopled.remove_key("bob", fingerprint, ROOT, NOW)
    assert peopled.remove_key("alice", fingerprint, ROOT, NOW) == key("alice-1")
    assert peopled.owner_of(b"alice-1") is None
    peopled.enrol_key("bob", key("alice-1"), ROOT, NOW)
    owner = peopled.owner_of(b"alice-1")
    assert owner is not None
    assert owner.name == "bob"


def test_a_user_has_so_many_keys_and_no_more(store: Store) -> None:
    """They are all read whenever somebody comes in."""
    store.add_user(user("alice", keys=MOST_KEYS), ROOT, NOW)
    with pytest.raises(Conflict, match="remove one first"):
        store.enrol_key("alice", key("more"), ROOT, NOW)


def test_a_change_leaves_name_and_keys(peopled: Store) -> None:
    """What it is told is another, and nothing else."""
    alice = peopled.user("alice")
    assert alice is not None
    peopled.update_user(replace(alice, disabled_at=NOW, keys=()), BOB, NOW)
    assert peopled.user("alice") == replace(alice, disabled_at=NOW)
    with pytest.raises(NotFound, match="no user carol"):
        peopled.update_user(user("carol"), BOB, NOW)


def test_times_come_back_in_utc(store: Store) -> None:
    """Whatever zone they came in; one without a zone is a slip of ours."""
    there = timezone(timedelta(hours=5, minutes=30))
    store.add_user(user("alice", until=NOW.astimezone(there)), ROOT, NOW)
    alice = store.user("alice")
    assert alice is not None
    assert alice.until == NOW
    assert alice.until.utcoffset() == timedelta(0)
    with pytest.raises(StatementError, match="without a zone"):
        store.add_user(user("bob", until=datetime(2026, 1, 1)), ROOT, NOW)  # noqa: DTZ001


def test_approvers_are_those_who_have_the_role(peopled: Store) -> None:
    """Among other roles or alone; a group of that name gives nothing."""
    peopled.update_user(replace(user("alice"), groups=frozenset({"approver"})), ROOT, NOW)
    both = frozenset({Role.APPROVER, Role.AUDITOR})
    peopled.update_user(replace(user("bob"), roles=both), ROOT, NOW)
    assert Inbox(peopled).approvers() == [peopled.user("bob")]


# Hosts


def test_a_host_comes_back_whole(store: Store) -> None:
    """By its name and by each alias, with keys, CAs and labels."""
    web = replace(
        host("web-1", aliases={"web", "10.0.0.1"}, labels={("env", "prod"), ("env", "eu")}),
        host_keys=(key("a"), key("b")),
        host_cas=(key("a"),),
    )
    store.add_host(web, ROOT, NOW)
    for name in ("web-1", "web", "10.0.0.1"):
        assert store.host(name) == web
    assert store.host("WEB") is None
    assert store.hosts() == [web]


def test_hosts_are_listed_by_name(store: Store) -> None:
    """Each with what belongs to it."""
    all_of_them = [host(f"web-{n}", aliases={f"w{n}"}, labels={("n", str(n))}) for n in range(5)]
    for one in reversed(all_of_them):
        store.add_host(one, ROOT, NOW)
    assert store.hosts() == all_of_them


@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        (host("prod-host"), "There is a host prod-host already"),
        (host("prod"), "prod is an alias of prod-host already"),
        (host("web", aliases={"prod"}), "prod is an alias of prod-host already"),
        (host("web", aliases={"prod-host"}), "There is a host prod-host already"),
    ],
)
def test_a_name_means_one_host(peopled: Store, fresh: object, said: str) -> None:
    """Names and aliases are of one kind, and nothing is half added."""
    assert isinstance(fresh, type(host()))
    with pytest.raises(Conflict, match=said):
        peopled.add_host(fresh, ROOT, NOW)
    assert [h.name for h in peopled.hosts()] == ["prod-host"]


def test_a_host_is_replaced_with_all_its_parts(peopled: Store) -> None:
    """Nothing of what it was stays behind; where it can't be, it stays as it was."""
    fresh = host("prod-host", aliases={"new"})
    peopled.replace_host(fresh, ROOT, NOW)
    assert peopled.hosts() == [fresh]
    assert peopled.host("prod") is None
    peopled.add_host(host("db"), ROOT, NOW)
    with pytest.raises(Conflict):
        peopled.replace_host(host("prod-host", aliases={"db"}), ROOT, NOW)
    assert peopled.host("new") == fresh
    with pytest.raises(NotFound, match="no host web"):
        peopled.replace_host(host("web"), ROOT, NOW)


def test_a_host_is_removed_with_its_names(peopled: Store) -> None:
    """Others may have them then."""
    peopled.remove_host("prod-host", ROOT, NOW)
    assert peopled.hosts() == []
    peopled.add_host(host("prod"), ROOT, NOW)
    with pytest.raises(NotFound, match="no host prod-host"):
        peopled.remove_host("prod-host", ROOT, NOW)


def test_a_key_twice_for_one_host(peopled: Store) -> None:
    """A slip, and a sentence."""
    with pytest.raises(Conflict, match="given twice"):
        peopled.add_host(replace(host("web"), host_keys=(key("a"), key("a"))), ROOT, NOW)


# Grants


def test_a_grant_comes_back_whole_with_a_number(peopled: Store) -> None:
    """Selectors of all kinds, exact commands, networks, who and why."""
    asked = replace(
        grant(
            0,
            hosts=selectors("prod-host", "web-*", "label:env=prod,team=db"),
            logins={"deploy", "app"},
            allows=Allows(
                commands=(
                    parse_template("df -h"),
                    parse_template("echo 'a b' ''"),
                    parse_template("{tty} x --u={a,'{b'} {re:[a-z]{1,2}} {int:1-9} {words!}"),
                )
            ),
        ),
        ticket="T-1",
        sources=(ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        approved_by=("bob", "carol"),
    )
    kept = peopled.add_grant(asked, ROOT, NOW)
    assert kept == replace(asked, id=kept.id, granted_at=NOW)
    assert peopled.grant(kept.id) == kept
    assert peopled.add_grant(asked, ROOT, NOW).id == kept.id + 1
    assert peopled.grant(99) is None


def test_commands_of_before_are_read_as_they_were_meant(peopled: Store) -> None:
    """Words that were kept one by one are literal, what braces they may have."""
    one = peopled.add_grant(grant(), ROOT, NOW)
    words = [["df", "-h"], ["echo", "{a,b}", "it's", "", "{word}"]]
    with peopled.write() as connection:
        kept_then = json.dumps({"shell": False, "commands": words})
        connection.execute(text("UPDATE grants SET allows = :then"), {"then": kept_then})
    kept = peopled.grant(one.id)
    assert kept is not None
    exact = [template.exact for template in kept.allows.commands]
    assert exact == [Command(tuple(argv)) for argv in words]


def test_a_number_is_never_given_again(peopled: Store) -> None:
    """Also where the newest line was lost: ids stand in logs and recordings."""
    one = peopled.add_grant(grant(), ROOT, NOW)
    with peopled.write() as connection:
        connection.exec_driver_sql("DELETE FROM grants")
    assert peopled.add_grant(grant(), ROOT, NOW).id == one.id + 1


def test_a_grant_is_revoked_once(peopled: Store) -> None:
    """Of eight at once, one did it; the others hear that it was done."""
    one = peopled.add_grant(grant(), ROOT, NOW)
    results = at_once(lambda n: peopled.revoke_grant(one.id, Actor(f"user{n}"), "why", NOW), 8)
    done = [result for result in results if not isinstance(result, Conflict)]
    assert len(done) == 1
    kept = peopled.grant(one.id)
    assert kept == done[0]
    assert kept is not None
    assert kept.state(NOW) is State.REVOKED
    assert all("revoked by" in str(r) for r in results if isinstance(r, Conflict))


def test_what_is_over_can_not_be_revoked(peopled: Store) -> None:
    """To the microsecond of its end; and there is no G-99."""
    one = peopled.add_grant(grant(), ROOT, NOW)
    with pytest.raises(Conflict, match="G-1 is over already"):
        peopled.revoke_grant(one.id, BOB, "why", one.ends_at)
    with pytest.raises(NotFound, match="no grant G-99"):
        peopled.revoke_grant(99, BOB, "why", NOW)


def test_a_user_has_so_many_grants_and_no_more(peopled: Store) -> None:
    """Door 1 reads all that are not over. What is over, or another's, does not count."""
    with peopled.write() as connection:
        connection.execute(insert(tables.grants), [_columns(grant(), NOW)] * MOST_LIVE)
    with pytest.raises(Conflict, match="alice has 500 grants that are not over"):
        peopled.add_grant(grant(), ROOT, NOW)
    peopled.add_grant(grant(to="bob"), ROOT, NOW)
    peopled.revoke_grant(1, BOB, "why", NOW)
    peopled.add_grant(grant(), ROOT, NOW)


def test_grants_are_listed_newest_first_and_narrowed(peopled: Store) -> None:
    """By user, host, login and state, a page at a time."""
    peopled.add_grant(grant(ends_at=NOW), ROOT, NOW - HOUR)
    peopled.add_grant(grant(to="bob", hosts=selectors("label:env=prod")), ROOT, NOW)
    peopled.add_grant(grant(hosts=selectors("db-*"), logins={"root"}), ROOT, NOW)
    peopled.add_grant(grant(starts_at=NOW + SECOND), ROOT, NOW)
    peopled.revoke_grant(3, BOB, "why", NOW)

    def ids(limit: int = 10, before: int | None = None, **wanted: object) -> list[int]:
        narrowed = WantedGrants(**wanted)  # type: ignore[arg-type]
        return [g.id for g in peopled.grants(narrowed, limit=limit, before=before)]

    assert ids() == [4, 3, 2, 1]
    assert ids(limit=2) == [4, 3]
    assert ids(limit=2, before=3) == [2, 1]
    assert ids(limit=0) == []
    assert ids(user="alice") == [4, 3, 1]
    assert ids(host=peopled.host("prod")) == [4, 2, 1]
    assert ids(login="root") == [3]
    assert ids(states=frozenset({State.ACTIVE}), at=NOW) == [2]
    assert ids(states=frozenset({State.SCHEDULED, State.REVOKED}), at=NOW) == [4, 3]
    assert ids(states=frozenset({State.EXPIRED}), at=NOW) == [1]
    assert ids(states=frozenset({State.ACTIVE}), at=NOW - SECOND, user="alice") == [3, 1]
    assert [g.id for g in peopled.grants_not_over("alice", NOW)] == [4]
    assert peopled.live_grants_state({1, 3, 99}).keys() == {1, 3}


def test_a_list_has_all_that_are_meant(peopled: Store) -> None:
    """Whatever SQL narrows by, no grant is left out that says of itself that it is wanted."""
    peopled.add_host(host("db"), ROOT, NOW - 3 * HOUR)
    hours = parse_window("mon", "10:00-14:00", "UTC")  # NOW is a Monday's noon
    made = (
        grant(hosts=selectors(named), logins={login}, starts_at=begins, ends_at=begins + 2 * HOUR)
        for named in ("prod-host", "prod", "pr?d-h*", "*", "label:env=prod", "prod-host-2")
        for login in ("deploy", "de_loy")
        for begins in (NOW - 3 * HOUR, NOW - HOUR, NOW + HOUR)
    )
    for number, one in enumerate(made, 1):
        peopled.add_grant(replace(one, window=hours if number % 2 else None), ROOT, NOW - 3 * HOUR)
        if number % 5 == 0 and one.ends_at > NOW:
            peopled.revoke_grant(number, BOB, "why", NOW)
    everything = peopled.grants()
    for states in (*({state} for state in State), set[State](), set(State) - {State.EXPIRED}):
        for at in (NOW - HOUR, NOW, NOW + HOUR, NOW + 2 * HOUR, NOW + 8 * HOUR):
            for login in (None, "deploy", "de_loy", "d*"):
                for named in (None, "prod", "db"):
                    asked = None if named is None else peopled.host(named)
                    wanted = WantedGrants(None, asked, login, frozenset(states), at)
                    assert peopled.grants(wanted) == [g for g in everything if wanted.takes(g)]


def test_many_grants_are_asked_for_by_number(peopled: Store) -> None:
    """More than SQL takes at once."""
    peopled.add_grant(grant(), ROOT, NOW)
    assert peopled.live_grants_state(range(40_000)).keys() == {1}


def test_grants_that_would_cover_a_host(peopled: Store) -> None:
    """Scheduled and active ones, for a host that is not there yet."""
    peopled.add_grant(grant(hosts=selectors("web-*"), starts_at=NOW + SECOND), ROOT, NOW)
    peopled.add_grant(grant(hosts=selectors("web-*"), ends_at=NOW), ROOT, NOW - HOUR)
    peopled.add_grant(grant(hosts=selectors("label:env=prod")), ROOT, NOW)
    assert [g.id for g in peopled.grants_covering(host("web-9"), NOW)] == [1]
    prod = host("web-9", labels={("env", "prod")})
    assert [g.id for g in peopled.grants_covering(prod, NOW)] == [1, 3]


# What door 1 needs


def test_door_facts_are_all_that_is_needed(peopled: Store) -> None:
    """By an alias; the user with the key, the host, the grants for it that are not over."""
    one = peopled.add_grant(grant(), ROOT, NOW)
    peopled.add_grant(grant(hosts=selectors("db-*")), ROOT, NOW)
    peopled.add_grant(grant(to="bob"), ROOT, NOW)
    facts = peopled.door_facts("alice", "SHA256:alice-1", "prod", NOW)
    assert facts.user == peopled.user("alice")
    assert facts.host == peopled.host("prod-host")
    assert facts.grants == (one,)
    assert facts.certificates == ()
    assert facts.latest_time == NOW


def test_a_key_that_is_not_enrolled_is_nobodys(peopled: Store) -> None:
    """Also where it was a moment ago, or is another's."""
    assert peopled.door_facts("alice", "SHA256:bob-1", "prod", NOW).user is None
    peopled.remove_key("alice", "SHA256:alice-1", ROOT, NOW)
    assert peopled.door_facts("alice", "SHA256:alice-1", "prod", NOW).user is None
    assert peopled.door_facts("carol", "SHA256:alice-1", "prod", NOW).user is None


def test_ends_are_read_where_there_is_nothing_else_to_tell(peopled: Store) -> None:
    """Ended and revoked grants, newest first, where none that stands covers the host."""
    peopled.add_grant(grant(ends_at=NOW), ROOT, NOW - HOUR)
    peopled.add_grant(grant(hosts=selectors("db-*")), ROOT, NOW)
    peopled.add_grant(grant(), ROOT, NOW)
    peopled.revoke_grant(3, BOB, "why", NOW)
    facts = peopled.door_facts("alice", "SHA256:alice-1", "prod", NOW)
    assert {g.id for g in facts.grants} == {1, 3}
    peopled.add_grant(grant(), ROOT, NOW)
    facts = peopled.door_facts("alice", "SHA256:alice-1", "prod", NOW)
    assert {g.id for g in facts.grants} == {4}
    nowhere = peopled.door_facts("alice", "SHA256:alice-1", "nowhere", NOW)
    assert (nowhere.host, nowhere.grants) == (None, ())


# Connections, kills, time


def jump(**changes: object) -> Jump:
    """Alice's way to prod-host."""
    one = Jump(0, "alice", "SHA256:alice-1", 1, "10.1.2.3", "prod-host", None, "OpenSSH", NOW)
    return replace(one, **changes)  # type: ignore[arg-type]


def test_a_connection_from_start_to_end(peopled: Store) -> None:
    """Its login is known later; its first end stays; of none there is nothing to keep."""
    number = peopled.open_connection(jump())
    assert peopled.connection(number) == jump(id=number)
    peopled.keep_passages([Passage(number, NOW, "deploy"), Passage(number, NOW + SECOND)])
    peopled.keep_passages([Passage(number, NOW + HOUR), Passage(99, NOW, "deploy")])
    assert peopled.connection(number) == jump(id=number, login="deploy", ended_at=NOW + SECOND)
    assert str(peopled.connection(number)) == "C-1"
    assert peopled.connection(99) is None
    closed = WantedEvents(what=frozenset({What.CONNECTION_CLOSED}))
    assert [event.at for event in Journal(peopled).events(closed)] == [NOW + SECOND]


def test_what_a_dead_process_left_open_is_closed(peopled: Store) -> None:
    """Once; what had ended keeps its end, and what others carry goes on."""
    peopled.enter_runner(NOW)
    for _ in range(3):
        peopled.open_connection(jump())
    peopled.keep_passages([Passage(1, NOW)])
    assert peopled.close_left_open(NOW) == 0
    assert peopled.close_left_open(NOW, ["another"]) == 0
    assert peopled.close_left_open(NOW + SECOND, [peopled.chain.boot]) == 2
    assert peopled.close_left_open(NOW + HOUR, [peopled.chain.boot]) == 0
    ends = [c.ended_at for c in peopled.connections()]
    assert ends == [NOW + SECOND, NOW + SECOND, NOW]
    closed = WantedEvents(what=frozenset({What.CONNECTION_CLOSED}))
    told = [event.happened.connection for event in Journal(peopled).events(closed)]
    assert told == [3, 2, 1]


def test_connections_are_narrowed(peopled: Store) -> None:
    """By user, host, login, times and whether they are open."""
    peopled.open_connection(jump(login="deploy"))
    peopled.open_connection(jump(user="bob", host="db", started_at=NOW + SECOND))
    peopled.keep_passages([Passage(1, NOW + SECOND)])

    def ids(**wanted: object) -> list[int]:
        return [c.id for c in peopled.connections(WantedJumps(**wanted))]  # type: ignore[arg-type]

    assert ids() == [2, 1]
    assert (
        ids(user="alice") == ids(host="prod-host") == ids(login="deploy") == ids(live=False) == [1]
    )
    assert ids(live=True) == ids(since=NOW + SECOND) == [2]
    assert ids(until=NOW + SECOND) == [1]
    assert [c.id for c in peopled.connections(limit=1, before=2)] == [1]


def test_kills_are_read_from_where_one_was(peopled: Store) -> None:
    """Oldest first, each once."""
    assert peopled.last_kill() == 0
    first = peopled.ask_kill(31, BOB, "why", NOW)
    second = peopled.ask_kill(32, BOB, "why", NOW)
    assert peopled.kills_since(0) == [first, second]
    assert peopled.kills_since(first.id) == [second]
    assert peopled.kills_since(second.id) == []
    assert peopled.last_kill() == second.id
    peopled.ask_kill(31, BOB, "again", NOW)
    assert peopled.kills_of([30, 31]) == {31: first}


def test_the_latest_time_only_goes_on(store: Store) -> None:
    """Unless somebody who mended a clock says so; whatever is written with a time keeps it."""
    assert store.latest_time() is None
    store.saw_time(NOW)
    store.saw_time(NOW - HOUR)
    assert store.latest_time() == NOW
    store.add_user(user("alice"), ROOT, NOW + HOUR)
    assert store.latest_time() == NOW + HOUR
    store.reset_time(ROOT, NOW - HOUR, "NTP")
    assert store.latest_time() == NOW - HOUR


def test_what_a_jump_reads_is_found_by_indexes(on_file: Store) -> None:
    """However many grants and certificates there are: no table is walked through.

    PostgreSQL chooses by how many rows there are, so it is SQLite that tells.
    """
    peopled = on_file
    peopled.add_user(user("alice"), ROOT, NOW)
    peopled.add_host(host("prod-host", aliases={"prod"}, labels={("env", "prod")}), ROOT, NOW)
    statements: list[tuple[str, tuple[object, ...]]] = []
    with peopled.read() as connection:

        def heard(
            _: Connection, __: object, said: str, values: tuple[object, ...], *___: object
        ) -> None:
            statements.append((said, tuple(values)))

        event.listen(connection.engine, "before_cursor_execute", heard)
    peopled.add_grant(grant(ends_at=NOW), ROOT, NOW - HOUR)
    peopled.door_facts("alice", "SHA256:alice-1", "prod", NOW)
    event.remove(connection.engine, "before_cursor_execute", heard)
    asked = [(said, values) for said, values in statements if "SELECT" in said]
    assert len(asked) >= 6
    with peopled.read() as connection:
        for said, values in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", values)
            steps = [row.detail for row in plan]
            walks = [step for step in steps if step.startswith("SCAN") and "anon" not in step]
            assert not walks, (said, steps)
