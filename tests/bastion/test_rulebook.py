"""The rules in force: read when the file changes; one that is broken changes nothing, loudly."""

import os
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import insert

from bastion.actor import Actor
from bastion.errors import Misconfigured, Unavailable
from bastion.events import What
from bastion.rulebook import Rulebook
from bastion.rules import Rules, parse_rules
from bastion.store import Store, events
from bastion.tables import policies
from tests.bastion.rulesets import WHOLE
from tests.bastion.worlds import NOW

SERVICE = Actor("os:bastion")
ONE = '[[rule]]\nname = "one"\nwho = ["*"]\nhosts = ["*"]\nlogins = ["*"]\nallow = ["shell"]\n'
ONE += "operators = true\n"
TWO = ONE.replace('"one"', '"two"')
BROKEN = ONE.replace("operators", "oprators")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of rules."""
    file = tmp_path / "policy.toml"
    file.write_text(ONE)
    return file


def book(file: Path, store: Store) -> Rulebook:
    """As a process that has just begun has it."""
    return Rulebook(file, store, SERVICE, lambda: NOW)


def replaced(file: Path, text: str) -> None:
    """As an editor does it: a new file in its place."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def names(rules: Rules) -> list[str]:
    """Of the rules, in order."""
    return [rule.name for rule in rules.rules]


def told(store: Store) -> list[tuple[What, str | None]]:
    """What was told of the rules, oldest first."""
    with store.read() as connection:
        found = events.after(connection, 0)
    return [(event.happened.what, event.happened.why) for event in found]


def test_the_file_is_read_and_kept(file: Path, store: Store) -> None:
    """Each version once, whoever reads it."""
    rules = book(file, store).current()
    assert names(rules) == ["one"]
    kept = store.last_policy()
    assert kept is not None
    assert (kept.version, kept.text, kept.by) == (rules.version, ONE, "os:bastion")
    assert book(file, store).current() == rules
    assert told(store) == [(What.RULES_CHANGED, None)]


def test_a_change_is_seen_at_once(file: Path, store: Store) -> None:
    """By the next question; earlier versions stay in the database."""
    rulebook = book(file, store)
    first = rulebook.current()
    replaced(file, TWO)
    second = rulebook.current()
    assert names(second) == ["two"]
    assert second.version != first.version
    kept = store.policy(first.version)
    assert kept is not None
    assert kept.text == ONE
    replaced(file, ONE)
    assert rulebook.current() == first
    latest = store.last_policy()
    assert latest is not None
    assert latest.version == first.version
    assert told(store) == [(What.RULES_CHANGED, None)] * 3


def test_a_broken_file_changes_nothing(
    file: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log, told once as an event, and can be asked for."""
    rulebook = book(file, store)
    before = rulebook.current()
    replaced(file, BROKEN)
    assert rulebook.current() is before
    assert rulebook.current() is before
    rulebook.reload()
    assert rulebook.problem is not None
    assert "line 7: 'rule.oprators' is not a setting. Do you mean operators?" in rulebook.problem
    assert [record.getMessage() for record in caplog.records] == [
        f"{rulebook.problem} The rules before it stay in force."
    ]
    assert told(store)[1:] == [(What.RULES_BROKEN, rulebook.problem)]
    replaced(file, TWO)
    assert names(rulebook.current()) == ["two"]
    assert rulebook.problem is None


def test_each_mistake_is_told(file: Path, store: Store) -> None:
    """A second one is another; so is the same one after it was mended."""
    rulebook = book(file, store)
    rulebook.current()
    for text in (BROKEN, "x =", ONE, "x ="):
        replaced(file, text)
        assert names(rulebook.current()) == ["one"]
    assert [what for what, _ in told(store)] == [What.RULES_CHANGED] + [What.RULES_BROKEN] * 3


@pytest.mark.parametrize("broken", [BROKEN, None, "directory"])
def test_a_process_that_begins_with_a_broken_file(
    file: Path, store: Store, broken: str | None
) -> None:
    """Has the last good rules from the database, and does not tell again what was told."""
    rules = book(file, store).current()
    file.unlink()
    if broken == "directory":
        file.mkdir()
    elif broken is not None:
        file.write_text(broken)
    for _ in range(3):
        rulebook = book(file, store)
        assert rulebook.current() == rules
        assert rulebook.problem is not None
    assert [what for what, _ in told(store)] == [What.RULES_CHANGED, What.RULES_BROKEN]


def test_where_there_never_were_rules_nothing_is_allowed(file: Path, store: Store) -> None:
    """The sentence says what is wrong with the file; mending it is enough."""
    file.write_text(BROKEN)
    rulebook = book(file, store)
    for _ in range(2):
        with pytest.raises(Misconfigured, match=r"Do you mean operators\? No rules are in force"):
            rulebook.current()
    assert [what for what, _ in told(store)] == [What.RULES_BROKEN]
    replaced(file, ONE)
    assert names(rulebook.current()) == ["one"]


def test_kept_rules_that_can_not_be_read_are_none(file: Path, store: Store) -> None:
    """As those of a bastion with another language may be."""
    store.keep_policy("[[rule]]\nnew = 1", "ab" * 32, SERVICE, NOW)
    file.write_text(BROKEN)
    with pytest.raises(Misconfigured, match="No rules are in force"):
        book(file, store).current()


def test_reload_reads_anew(file: Path, store: Store) -> None:
    """Also where the file looks as it did."""
    rulebook = book(file, store)
    rulebook.current()
    before = file.stat()
    file.write_text(TWO)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    rulebook.reload()
    assert names(rulebook.current()) == ["two"]


def test_without_the_database_a_change_waits(file: Path, store: Store) -> None:
    """Rules that could not be kept are not in force; afterwards they are."""
    rulebook = book(file, store)
    rulebook.current()
    replaced(file, TWO)
    keep, store.keep_policy = store.keep_policy, _away  # type: ignore[method-assign, assignment]
    with pytest.raises(Unavailable):
        rulebook.current()
    store.keep_policy = keep  # type: ignore[method-assign]
    assert names(rulebook.current()) == ["two"]


def _away(*_: object) -> bool:
    raise Unavailable("The database is away.")


def test_many_threads_see_whole_rules(file: Path, store: Store) -> None:
    """While the file changes under them: one version or the other, each told once."""
    rulebook, seen, stop = book(file, store), set[str](), threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.update(names(rulebook.current()))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for text in (TWO, ONE, TWO):
        replaced(file, text)
        while names(rulebook.current()) != [("two" if text is TWO else "one")]:
            pass
    stop.set()
    for thread in threads:
        thread.join()
    assert seen == {"one", "two"}
    assert [what for what, _ in told(store)] == [What.RULES_CHANGED] * len(told(store))
    assert len(told(store)) <= 4


def test_looking_costs_next_to_nothing(file: Path, store: Store) -> None:
    """Where nothing has changed: a look at the file's stat."""
    file.write_text(WHOLE)
    rulebook = book(file, store)
    rulebook.current()
    spent = []
    for _ in range(5):
        begun = time.process_time()
        for _ in range(1000):
            rulebook.current()
        spent.append((time.process_time() - begun) / 1000)
    assert min(spent) < 20e-6


@pytest.mark.timeout(10)
def test_a_pipe_in_the_place_of_the_file_holds_nobody_up(file: Path, store: Store) -> None:
    """What is no plain file is a mistake like others: it is told, and the old rules stay."""
    rulebook = book(file, store)
    rulebook.current()
    file.unlink()
    os.mkfifo(file)
    assert names(rulebook.current()) == ["one"]
    assert rulebook.problem == f"{file} is no plain file: put one in its place."
    file.unlink()
    file.write_text(TWO)
    assert names(rulebook.current()) == ["two"]


def test_rules_that_were_written_into_the_database_are_not_in_force(
    file: Path, store: Store
) -> None:
    """With a broken file the kept rules count, but only those that the log knows of."""
    book(file, store).current()
    forged = {"version": parse_rules(TWO, file).version, "text": TWO, "by": "os:root", "at": NOW}
    with store.writing(NOW) as connection:
        connection.execute(insert(policies), [forged])
    file.write_text(BROKEN)
    with pytest.raises(Misconfigured, match="nothing is allowed"):
        book(file, store).current()
