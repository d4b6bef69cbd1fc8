"""`audit`: what happened, as people and programs read it; what happens; and whether it is sound."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from bastion.actor import Actor
from bastion.app import Services
from bastion.authority import Which
from bastion.events import Happened, What, digest_of
from bastion.policy import Identity
from bastion.store.evidence import guard
from cli.audit import audit, own_audit
from cli.desk import Desk
from cli.output import Output
from cli.person import SignedIn
from cli.verb import Noun, run
from tests.cli.desks import Caller, Installation, Said

Meanwhile = Sequence[Callable[[], None]]


@pytest.fixture
def services(furnished: Installation) -> Iterator[Services]:
    """The furnished installation's services."""
    with furnished.services() as found:
        yield found


class Auditing:
    """Somebody who looks at the log: on the machine, or over SSH as olga."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.remote = False

    def __call__(self, *words: str, status: int = 0, meanwhile: Meanwhile = ()) -> Said:
        """`bastion-admin audit WORDS`, or `ssh bastion audit WORDS`."""
        program = "ssh bastion" if self.remote else "bastion-admin"
        group = Noun(program)
        group.add_command(own_audit if self.remote else audit)
        caller = Caller(" ".join(words), meanwhile=(*meanwhile, _leave))
        desk = Desk(
            program,
            Output(caller.out, caller.err),
            Actor("olga", "192.0.2.7"),
            self._entered,
            self._identity() if self.remote else None,
            person=SignedIn(caller, lambda: None),
        )
        said = caller.heard.said(run(group, ["audit", *words], desk))
        assert said.status == status, said
        return said

    @contextmanager
    def _entered(self, _: Path | None) -> Iterator[Services]:
        yield self.services

    def _identity(self) -> Identity:
        user = self.services.store.user("olga")
        assert user is not None
        return Identity(user, user.keys[0], "192.0.2.7")


def _leave() -> None:
    raise KeyboardInterrupt


@pytest.fixture(params=["here", "over SSH"])
def ask(request: pytest.FixtureRequest, services: Services) -> Auditing:
    """Somebody who looks at the log, here and over SSH."""
    auditing = Auditing(services)
    auditing.remote = request.param == "over SSH"
    return auditing


@pytest.fixture
def here(services: Services) -> Auditing:
    """Somebody on the machine."""
    return Auditing(services)


def lines(said: Said) -> list[dict[str, object]]:
    """The events, a line each."""
    return [json.loads(line) for line in said.out.splitlines()]


def told(services: Services, what: What = What.DOOR_REFUSED, **columns: object) -> None:
    """Something happens."""
    happened = Happened(what, "alice", "192.0.2.7", **columns)  # type: ignore[arg-type]
    services.journal.tell(happened, services.clock.now())


# The list


def test_what_happened_is_told_the_newest_first(ask: Auditing) -> None:
    """A line each: number, time, and a sentence with who, what, and why."""
    said = ask().out.splitlines()
    assert re.fullmatch(r"ID +TIME +EVENT", said[0])
    newest = re.fullmatch(r"(\d+) +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.+)", said[1])
    assert newest is not None
    assert newest[2].startswith("os:tester gave alice G-1, a shell on web-1 as deploy until ")
    assert newest[2].endswith(", past the rules: disk full") or newest[2].endswith(": disk full")
    assert "os:tester added the user alice (contractor)" in said[-1]


def test_as_json_each_event_is_a_line(ask: Auditing) -> None:
    """With everything that is kept of it, so that its hash can be checked."""
    found = lines(ask("--json"))
    ids = [event["id"] for event in found]
    assert ids == sorted(ids, reverse=True)  # type: ignore[type-var]
    for event in found:
        hash_ = event.pop("hash")
        assert digest_of(event) == hash_
    assert found[0]["grant"] == "G-1"


def test_as_csv_each_event_is_a_row(ask: Auditing) -> None:
    """Under the names of the columns, with the sentence as the last."""
    rows = list(csv.DictReader(io.StringIO(ask("--csv", "--limit", "2").out)))
    assert rows[0]["what"] == "grant.given"
    assert rows[0]["sentence"].startswith("os:tester gave alice G-1")
    assert len(rows) == 2


def test_filters_narrow_it(ask: Auditing, services: Services) -> None:
    """By who, where, which, what and when."""
    told(services, host="web-1", login="deploy", connection=31, session=3, user="alice")
    told(services, What.REQUEST_MADE, request=12)
    filters = [
        ("--user", "alice", {"user", "actor"}),
        ("--host", "web-1", {"host"}),
        ("--login", "deploy", {"login"}),
        ("--request", "R-12", {"request"}),
        ("--grant", "g-1", {"grant"}),
        ("--connection", "C-31", {"connection"}),
        ("--session", "3", {"session"}),
    ]
    for option, value, columns in filters:
        found = lines(ask(option, value, "--json"))
        wanted = {value, value.upper(), f"S-{value}"}
        assert found, option
        assert all(any(event[name] in wanted for name in columns) for event in found), option
    whats = {str(event["what"]) for event in lines(ask("--what", "user", "--json"))}
    assert whats == {"user.added"}
    some = lines(ask("--what", "door.refused", "--what", "request.*", "--json"))
    assert [event["what"] for event in some] == ["request.made", "door.refused"]
    assert ask("--since", "2100-01-01T00:00Z").err == "No events.\n"
    assert ask("--until", "2000-01-01T00:00Z", "--json").out == ""
    actors = {event["actor"] for event in lines(ask("--user", "os:tester", "--json"))}
    assert actors == {"os:tester"}


def test_a_duration_is_so_long_ago(ask: Auditing) -> None:
    """Whoever is on call thinks in hours, not in dates."""
    lately = {str(event["hash"]) for event in lines(ask("--since", "1h", "--json"))}
    assert lately == {str(event["hash"]) for event in lines(ask("--json"))}
    assert ask("--until", "1h").err == "No events.\n"
    assert "write it as in 2h (so long ago)" in ask("--since", "yesterday", status=2).err


def test_an_alias_means_its_host(ask: Auditing, services: Services) -> None:
    """As everywhere."""
    told(services, host="web-1")
    assert lines(ask("--host", "www", "--json"))[0]["host"] == "web-1"


def test_a_long_list_is_cut_and_says_so(ask: Auditing) -> None:
    """The newest are shown."""
    said = ask("--limit", "1", "--json")
    assert len(lines(said)) == 1
    assert said.err.startswith("There are more events")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--what", "grnt"), "'grnt' is no kind of event. Do you mean grant?"),
        (("--what", "xyz"), "Known: access, backup, ca, certificate, "),
        (("--user", "Bob!"), "can't be a user name"),
        (("--grant", "S-1"), "'S-1' is not an id"),
        (("--json", "--csv"), "--json and --csv can't both be."),
        (("--follow", "--csv"), "--follow goes on for ever"),
        (("--user", "alice", "verify"), "--user does not go with verify"),
        (("verify", "--checkpoint", "12"), "is no checkpoint: write NUMBER:SHA256"),
        (("verify", "--checkpoint", "1:" + "a" * 64, "--checkpoint", "1:" + "b" * 64), "not alike"),
    ],
)
def test_what_is_typed_wrong_is_a_sentence(
    ask: Auditing, words: tuple[str, ...], sentence: str
) -> None:
    """With the mend."""
    said = ask(*words, status=2)
    assert sentence in " ".join(said.err.split())
    assert said.out == ""


def test_nothing_that_a_terminal_would_act_on_comes_out(ask: Auditing, services: Services) -> None:
    """Neither in a sentence nor in JSON, which says the same all the same."""
    evil = "\x1b]0;x\x07\x9b31m\u202e\U000e0001"
    told(services, why=evil, host="web-1")
    assert evil not in ask().out
    assert ask().out.replace("\n", "").isprintable()
    line = ask("--json", "--limit", "1").out
    assert line.strip().isprintable()
    assert orjson.loads(line)["why"] == evil


# Following


def test_following_tells_what_happens(ask: Auditing, services: Services) -> None:
    """From now on, the oldest first, until whoever listens has enough."""

    def two() -> None:
        told(services, why="two")
        told(services, why="three")

    said = ask(
        "--follow",
        "--what",
        "door",
        status=130,
        meanwhile=[
            lambda: told(services, why="one"),
            lambda: told(services, What.SESSION_STARTED, session=3),
            lambda: None,
            two,
        ],
    )
    sentences = [line.split("  ", 1)[1] for line in said.out.splitlines()]
    assert sentences == [
        "alice was refused at a host: one",
        "alice was refused at a host: two",
        "alice was refused at a host: three",
    ]


def test_following_begins_where_one_wants(ask: Auditing, services: Services) -> None:
    """With what has been since then; as JSON a line each."""
    before = len(lines(ask("--json")))
    said = ask(
        "--follow",
        "--json",
        "--since",
        "2000-01-01T00:00Z",
        status=130,
        meanwhile=[lambda: told(services, why="one")],
    )
    ids = [event["id"] for event in lines(said)]
    assert ids == list(range(1, before + 2))


def test_following_leaves_nothing_out_and_says_nothing_twice(
    here: Auditing, services: Services
) -> None:
    """However many happen between two looks."""

    def many() -> None:
        now = services.clock.now()
        services.journal.tell_all([(Happened(What.DOOR_REFUSED, "alice"), now)] * 777)

    first = services.journal.last() + 1
    said = here("--follow", "--json", status=130, meanwhile=[many, many, lambda: None, many])
    assert [event["id"] for event in lines(said)] == list(range(first, first + 3 * 777))


# Judging


def test_a_log_that_nobody_touched_is_sound(ask: Auditing, services: Services) -> None:
    """And it is said what that is worth: how much is sealed, and that nothing is anchored."""
    services.sealer.seal()
    told(services)
    said = ask("verify")
    events = services.journal.last()
    assert f"{events} events in " in said.out
    assert "nothing was changed, is missing or was added" in said.out
    assert f"Sealed up to event {events - 1} by checkpoint 1 of " in said.out
    assert "Not sealed: 1 event." in said.out
    assert "Not anchored: whoever is root here could have sealed another log" in said.out
    found = ask("verify", "--json").json
    assert found["sound"] is True
    assert found["findings"] == []
    assert found["sealed"]["checkpoint"] == 1
    assert (found["unsealed"], found["anchored"]) == (1, None)


def test_what_was_changed_is_named(ask: Auditing, services: Services) -> None:
    """With exit status 1, for people and for programs."""
    forge(services, "UPDATE events SET why = 'nothing' WHERE id = 2")
    forge(services, "DELETE FROM events WHERE id = 4")
    said = ask("verify", status=1)
    assert "changed: Event 2 was changed: it does not fit its hash." in said.out
    assert "missing: Event 4 is missing." in said.out
    assert "2 findings. The log is not as it was written." in said.out
    found = ask("verify", "--json", status=1).json
    assert found["sound"] is False
    assert [finding["where"] for finding in found["findings"]] == ["event 2", "event 4"]


def test_an_event_that_can_not_be_read_spoils_no_list(ask: Auditing, services: Services) -> None:
    """It says that it can't be read, and who says more."""
    forge(services, "UPDATE events SET what = 'coffee.made', details = '{' WHERE id = 2")
    assert "this event can't be read: bastion-admin audit verify says more" in ask().out
    assert "Event 2 was changed: 'coffee.made' is nothing" in ask("verify", status=1).out


def test_who_has_kept_a_checkpoint_names_it(ask: Auditing, services: Services) -> None:
    """Then even root could not have sealed another log; a wrong one is a finding."""
    (sealed,) = services.sealer.seal()
    kept = f"1:{sealed.sha256}"
    said = ask("verify", "--checkpoint", kept.upper())
    assert "Checkpoint 1 is the one that you name" in said.out
    assert "Not anchored" not in said.out
    said = ask("verify", "--checkpoint", f"1:{'0' * 64}", status=1)
    assert f"Checkpoint 1 is another one than you name: {sealed.sha256}." in said.out
    said = ask("verify", "--checkpoint", f"2:{'0' * 64}", status=1)
    assert "Checkpoint 2, which you name, is not here." in said.out


def test_what_was_sent_out_is_said(ask: Auditing, services: Services) -> None:
    """Up to which checkpoint."""
    services.sealer.seal()
    services.journal.move_cursor("anchor ops", 1, services.clock.now())
    assert "Anchored up to checkpoint 1: it was sent out" in ask("verify").out


def test_nobody_judges_on_for_who_has_left(here: Auditing, services: Services) -> None:
    """It may take a while, and others need the thread."""
    here.remote = True
    now = services.clock.now()
    services.journal.tell_all([(Happened(What.DOOR_REFUSED, "alice"), now)] * 500)
    Caller.gone, before = lambda self: True, Caller.gone  # type: ignore[method-assign]
    try:
        assert here("verify", status=130).out == ""
    finally:
        Caller.gone = before  # type: ignore[method-assign]


def forge(services: Services, statement: str) -> None:
    """Somebody takes the guards away, does it, and puts them back."""
    with services.store.write() as connection:
        raw = connection.exec_driver_sql
        if connection.dialect.name == "postgresql":
            raw("ALTER TABLE events DISABLE TRIGGER USER")
            raw(statement)
            raw("ALTER TABLE events ENABLE TRIGGER USER")
            return
        for act in ("update", "delete"):
            raw(f"DROP TRIGGER events_no_{act}")
        raw(statement)
        for act in ("update", "delete"):
            raw(guard("events", act))


# Checkpoints


def test_a_checkpoint_is_made_by_hand(here: Auditing, services: Services) -> None:
    """It prints what is worth keeping; nothing, where nothing has happened since."""
    said = here("seal")
    (sealed,) = services.journal.checkpoints()
    assert said.out == f"1:{sealed.sha256}\n"
    again = here("seal")
    assert (again.out, again.err) == ("", "Nothing has happened since the last checkpoint.\n")
    told(services)
    (made,) = here("seal", "--json").json
    assert made["checkpoint"] == 2


def test_nobody_seals_over_ssh(services: Services) -> None:
    """An auditor looks."""
    ask = Auditing(services)
    ask.remote = True
    assert "No such command" in ask("seal", status=2).err


def test_checkpoints_are_listed(ask: Auditing, services: Services) -> None:
    """The newest first, with what each speaks for."""
    assert ask("checkpoints").err == "No checkpoints.\n"
    services.sealer.seal()
    told(services)
    services.sealer.seal()
    said = ask("checkpoints").out.splitlines()
    assert re.fullmatch(r"CHECKPOINT +TIME +EVENTS +CHAINS +SHA256", said[0])
    assert [line.split()[0] for line in said[1:]] == ["2", "1"]
    (newest,) = ask("checkpoints", "--limit", "1", "--json").json
    assert newest["checkpoint"] == 2


def test_ssh_keygen_checks_a_checkpoint_alone(
    ask: Auditing, services: Services, tmp_path: Path
) -> None:
    """As docs/audit.md says: the body and the signature, and nothing of ours."""
    services.sealer.seal()
    (newest,) = ask("checkpoints", "--limit", "1", "--json").json
    signature, allowed = tmp_path / "checkpoint.sig", tmp_path / "allowed_signers"
    signature.write_text(newest["signature"])
    line = services.authority.public_line(Which.SEAL)
    allowed.write_text(f'bastion namespaces="audit@bastion" {line}\n')
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "bastion"]
    command += ["-n", "audit@bastion", "-s", str(signature)]
    body = newest["body"].encode()
    judged = subprocess.run(command, input=body, capture_output=True, check=False)
    assert judged.returncode == 0, judged.stderr
    judged = subprocess.run(command, input=body + b"\n", capture_output=True, check=False)
    assert judged.returncode != 0
