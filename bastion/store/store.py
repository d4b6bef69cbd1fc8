"""The store as the other rooms see it: each method is one transaction.

It blocks; asynchronous callers use `asyncio.to_thread`, once for each use. What is missing is
NotFound, what can't be done in the present state is Conflict, a database that does not answer is
Unavailable. Whatever is written also keeps its `now` as the latest time that was seen, and tells
of itself: its event is written with it, or neither is.
"""

import secrets
import socket
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import Connection

from bastion import happenings
from bastion.actor import Actor
from bastion.denials import clock
from bastion.errors import Unavailable
from bastion.events import Chain, Event, Happened, What
from bastion.grants import Certificate, Grant
from bastion.inventory import Host, PublicKey, User
from bastion.jumps import DoorFacts, Jump, Kill, Passage
from bastion.ledger import Draft, Entry, Signed, Signing
from bastion.runners import Runner
from bastion.store import events, grants, hosts, jumps, ledger, policies, runners, schema, users
from bastion.store.database import Database, as_sentences
from bastion.store.places import opened
from bastion.store.signing import LedgerSigning

TOLERANCE = timedelta(seconds=5)
"""How far the clock may be behind the latest time that was kept."""


class Store:
    """Users, hosts, grants, the ledger and connections, in one database.

    `database` is what `recorder.index.Index` takes: the same transactions with SQLAlchemy's own
    errors. `chain` is where this process's events go.
    """

    def __init__(self, database: Database, chain: Chain) -> None:
        self.database = database
        self.chain = chain
        self._signing = LedgerSigning(self._write, chain)

    @classmethod
    def open(
        cls, url: str, *, migrate: bool = False, check: bool = True, node: str | None = None
    ) -> Self:
        """The store at `url` (`sqlite:///FILE` or `postgresql://…`), brought up to date where
        `migrate`; a file is made then too.

        `node` is what this machine is called in the log of events: its own name, if not said.

        Raises Misconfigured for another kind of URL, a missing database, and unless told not to
        `check` for one whose schema this program can't use; Unavailable when it does not answer.
        """
        database = opened(url, make=migrate)
        chain = Chain((node or socket.gethostname())[:64], secrets.token_hex(8))
        store = cls(database, chain)
        try:
            if migrate:
                store.migrate()
            elif check:
                store.demand_usable_schema()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Give back all connections."""
        self._signing.close()
        self.database.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view, nothing written. Raises Unavailable."""
        with as_sentences(self.database), self.database.read() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that excludes other writers from its start. Raises Unavailable."""
        with as_sentences(self.database), self.database.write() as connection:
            yield connection

    def version(self) -> Hashable:
        """A stamp that changes whenever anybody has written; takes microseconds."""
        with as_sentences(self.database):
            return self.database.version()

    def leads(self) -> bool:
        """Whether this process may do what is done once for all machines. Raises Unavailable."""
        with as_sentences(self.database):
            return self.database.leads()

    # The schema

    def migrate(self) -> None:
        """Bring the schema up to date, all of it or nothing."""
        with self.write() as connection:
            schema.migrate(connection, self.database.name)

    def schema_is_current(self) -> bool:
        """Whether the schema is the one that this program reads and writes."""
        with self.read() as connection:
            return schema.is_current(connection)

    def demand_usable_schema(self) -> None:
        """Raises Misconfigured, with the mend, where this program can't use the schema."""
        with self.read() as connection:
            schema.demand_usable(connection, self.database.name)

    # Users and their keys

    def user(self, name: str) -> User | None:
        """The user called `name`."""
        with self.read() as connection:
            return users.find(connection, name)

    def users(self) -> list[User]:
        """All users by name."""
        with self.read() as connection:
            return users.everyone(connection)

    def owner_of(self, blob: bytes) -> User | None:
        """The user for whom the key with this wire form is enrolled."""
        with self.read() as connection:
            return users.owner(connection, blob)

    def add_user(self, user: User, by: Actor, now: datetime) -> None:
        """A new user with the keys. Raises Conflict when the name or a key is taken."""
        with self._write(now) as connection:
            users.add(connection, user, by.name, now)
            self._told(connection, happenings.of_user(by, What.USER_ADDED, user), now)

    def update_user(
        self, user: User, by: Actor, now: datetime, what: What = What.USER_CHANGED
    ) -> None:
        """Everything but the name, the keys and who enrolled. Raises NotFound."""
        with self._write(now) as connection:
            users.change(connection, user, by.name, now)
            self._told(connection, happenings.of_user(by, what, user), now)

    def enrol_key(self, user: str, key: PublicKey, by: Actor, now: datetime) -> None:
        """A further key for `user`. Raises NotFound, or Conflict: a key belongs to one user."""
        with self._write(now) as connection:
            users.add_key(connection, user, key, by.name, now)
            self._told(connection, happenings.of_key(by, What.KEY_ENROLLED, user, key), now)

    def remove_key(self, user: str, fingerprint: str, by: Actor, now: datetime) -> PublicKey:
        """Take a key away, and give it back. Raises NotFound."""
        with self._write(now) as connection:
            key = users.remove_key(connection, user, fingerprint)
            self._told(connection, happenings.of_key(by, What.KEY_REMOVED, user, key), now)
            return key

    def users_called(self, names: Collection[str]) -> dict[str, User]:
        """Those of `names` that exist, by name."""
        with self.read() as connection:
            return users.called(connection, names)

    def key_enrollers(self, user: str) -> frozenset[str]:
        """Who enrolled the account, or any key that it has or had: names of actors."""
        with self.read() as connection:
            return users.enrollers(connection, user)

    # Hosts

    def host(self, name_or_alias: str) -> Host | None:
        """The host that a client means by this name, in its kept form."""
        with self.read() as connection:
            return hosts.find(connection, name_or_alias)

    def hosts(self) -> list[Host]:
        """All hosts by name."""
        with self.read() as connection:
            return hosts.inventory(connection)

    def add_host(self, host: Host, by: Actor, now: datetime) -> None:
        """A new host. Raises Conflict when one of its names is taken."""
        with self._write(now) as connection:
            hosts.add(connection, host)
            self._told(connection, happenings.of_host(by, What.HOST_ADDED, host), now)

    def replace_host(self, host: Host, by: Actor, now: datetime) -> None:
        """The host of that name anew. Raises NotFound, or Conflict when an alias is taken."""
        with self._write(now) as connection:
            hosts.replace(connection, host)
            self._told(connection, happenings.of_host(by, What.HOST_CHANGED, host), now)

    def remove_host(self, name: str, by: Actor, now: datetime) -> None:
        """Take a host out of the inventory. Raises NotFound."""
        with self._write(now) as connection:
            hosts.remove(connection, name)
            self._told(connection, happenings.by(by, What.HOST_REMOVED, host=name), now)

    def host_moved(self, name: str, fingerprint: str, by: Actor, now: datetime) -> None:
        """The host lets in who shows a certificate of the target CA `fingerprint`.

        Raises NotFound.
        """
        with self._write(now) as connection:
            hosts.moved(connection, name, fingerprint)
            told = happenings.by(by, What.HOST_MOVED, host=name, details={"ca": fingerprint})
            self._told(connection, told, now)

    # Grants

    def grant(self, number: int) -> Grant | None:
        """The grant `G-<number>`."""
        with self.read() as connection:
            return grants.get(connection, number)

    def grants(
        self,
        wanted: grants.Wanted | None = None,
        *,
        limit: int = grants.MOST_ROWS,
        before: int | None = None,
    ) -> list[Grant]:
        """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
        with self.read() as connection:
            return grants.find(connection, wanted or grants.Wanted(), limit, before)

    def grants_not_over(self, user: str, now: datetime) -> tuple[Grant, ...]:
        """All of a user's that are scheduled or active at `now`."""
        with self.read() as connection:
            return grants.not_over(connection, user, now)

    def grants_covering(self, host: Host, now: datetime) -> list[Grant]:
        """All that are scheduled or active at `now` and cover `host`, in the inventory or not."""
        with self.read() as connection:
            return grants.covering(connection, host, now)

    def live_grants_state(self, ids: Collection[int]) -> dict[int, Grant]:
        """Those of `ids` that exist, as they stand now."""
        with self.read() as connection:
            return grants.with_ids(connection, ids)

    def add_grant(self, grant: Grant, by: Actor, now: datetime) -> Grant:
        """The same with the number that it is given; the one it has is not looked at."""
        with self._write(now) as connection:
            given = grants.add(connection, grant, now)
            self._told(connection, happenings.of_grant(by, What.GRANT_GIVEN, given), now)
            return given

    def revoke_grant(self, number: int, by: Actor, reason: str, now: datetime) -> Grant:
        """End a grant at `now`. Raises NotFound, or Conflict where it is over already."""
        with self._write(now) as connection:
            ended = grants.revoke(connection, number, by.name, reason, now)
            self._told(connection, happenings.of_grant(by, What.GRANT_REVOKED, ended, reason), now)
            return ended

    def review_grant(self, number: int, by: Actor, comment: str, now: datetime) -> Grant:
        """Close the review of a break-glass grant. Raises NotFound, Conflict."""
        with self._write(now) as connection:
            seen = grants.review(connection, number, by.name, comment, now)
            self._told(connection, happenings.of_grant(by, What.GRANT_REVIEWED, seen, comment), now)
            return seen

    # The rules

    def keep_policy(self, text: str, version: str, by: Actor, now: datetime) -> bool:
        """The rules that are in force from now on. False where they were already."""
        with self._write(now) as connection:
            latest = policies.last(connection)
            if latest is not None and latest.version == version:
                return False
            policies.add(connection, text, version, by.name, now)
            details = {"version": version, "before": None if latest is None else latest.version}
            self._told(connection, happenings.by(by, What.RULES_CHANGED, details=details), now)
            return True

    def last_policy(self) -> policies.Kept | None:
        """The rules that were in force last."""
        with self.read() as connection:
            return policies.last(connection)

    def policy(self, version: str) -> policies.Kept | None:
        """The rules of a version, or of the one version that begins with these digits."""
        with self.read() as connection:
            return policies.find(connection, version)

    # The ledger

    def certificates(self, user: str, fingerprint: str) -> tuple[Certificate, ...]:
        """The newest user certificates for this key of this user's."""
        with self.read() as connection:
            return ledger.of_key(connection, user, fingerprint)

    def certificates_known(self, sha256s: Collection[str]) -> frozenset[str]:
        """Those of these SHA-256 (hex) that certificates in the ledger have; at most 1000."""
        with self.read() as connection:
            return ledger.known(connection, sha256s)

    def certificate_with(self, sha256: str) -> Certificate | None:
        """The user certificate whose wire form has this SHA-256 (hex)."""
        with self.read() as connection:
            return ledger.whole(connection, sha256)

    def ledger(
        self,
        wanted: ledger.Wanted | None = None,
        *,
        limit: int = ledger.MOST_ROWS,
        before: int | None = None,
    ) -> list[Entry]:
        """Its newest lines first; for the next page, `before` is the last one's serial."""
        with self.read() as connection:
            return ledger.find(connection, wanted or ledger.Wanted(), limit, before)

    def sign_into_ledger(self, draft: Draft, sign: Signing) -> Signed:
        """What `sign(serial)` makes, kept with its serial in one transaction: both or neither.

        Those who want one meanwhile share the next transaction, and are signed for at once.
        """
        return self._signing.sign(draft, sign)

    def revoke_certificate(self, serial: int, by: Actor, reason: str, now: datetime) -> Entry:
        """A certificate counts no more. Raises NotFound, or Conflict where it is over already."""
        with self._write(now) as connection:
            entry = ledger.revoke(connection, serial, by.name, reason, now)
            self._told(connection, happenings.of_certificate(by, entry, reason), now)
            return entry

    # Connections, kills and time

    def door_facts(self, user: str, fingerprint: str, host_asked: str, now: datetime) -> DoorFacts:
        """What door 1 is decided from, in one consistent view."""
        with self.read() as connection:
            person = users.find(connection, user)
            if person is not None and all(k.fingerprint != fingerprint for k in person.keys):
                person = None
            host = hosts.find(connection, host_asked)
            return DoorFacts(
                user=person,
                host=host,
                grants=grants.for_the_door(connection, user, host, now),
                certificates=ledger.of_key(connection, user, fingerprint),
                latest_time=jumps.latest_time(connection),
            )

    def open_connection(self, jump: Jump, refused: str | None = None) -> int:
        """Keep a new jump, and give its number; the one that it has is not looked at.

        `refused` is door 1's reason, where it said no.
        """
        with self._write(jump.started_at) as connection:
            number = jumps.start(connection, jump, self.chain.boot)
            told = happenings.of_jump(jump, number, refused)
            self._told(connection, told, jump.started_at)
            return number

    def keep_passages(self, passages: Sequence[Passage]) -> None:
        """Keep which logins door 2 has let in, and which jumps have ended: twice is once."""
        with self._write(max(passage.at for passage in passages)) as connection:
            told = [
                (happenings.of_end(jump), passage.at)
                for passage in passages
                if (jump := jumps.passed(connection, passage)) is not None
            ]
            events.append_all(connection, self.chain, told)

    def enter_runner(self, now: datetime) -> None:
        """This process carries sessions from now on."""
        with self._write(now) as connection:
            runners.enter(connection, self.chain, now)

    def beat_runner(self, now: datetime) -> bool:
        """This process lives. False where others had taken it for gone."""
        with self._write(now) as connection:
            return runners.beat(connection, self.chain.boot, now)

    def end_runners(self, boots: Collection[str], now: datetime) -> None:
        """These processes carry nothing any more, or are gone."""
        with self._write(now) as connection:
            for boot in boots:
                runners.end(connection, boot, now)

    def runners(self) -> list[Runner]:
        """The processes that carry sessions, as far as anybody knows."""
        with self.read() as connection:
            return runners.there(connection)

    def node_of_runner(self, boot: str) -> str | None:
        """The machine of a process that carried sessions."""
        with self.read() as connection:
            return runners.node_of(connection, boot)

    def ended_runners(self, boots: Collection[str]) -> frozenset[str]:
        """Those of `boots` that have ended."""
        with self.read() as connection:
            return runners.ended(connection, boots)

    def close_left_open(self, now: datetime, gone: Collection[str] = ()) -> int:
        """End the connections of processes that are `gone`, or have ended; how many."""
        with self._write(now) as connection:
            ended = jumps.end_all(connection, now, gone)
            told = [(happenings.of_end(jump), now) for jump in ended]
            events.append_all(connection, self.chain, told)
            return len(ended)

    def connection(self, number: int) -> Jump | None:
        """The jump `C-<number>`."""
        with self.read() as connection:
            return jumps.get(connection, number)

    def connections(
        self,
        wanted: jumps.Wanted | None = None,
        *,
        limit: int = jumps.MOST_ROWS,
        before: int | None = None,
    ) -> list[Jump]:
        """The newest first, at most `limit`; for the next page, `before` is the last one's id."""
        with self.read() as connection:
            return jumps.find(connection, wanted or jumps.Wanted(), limit, before)

    def ask_kill(self, session: int, by: Actor, reason: str, now: datetime) -> Kill:
        """Ask the process that carries `S-<session>` to cut it."""
        with self._write(now) as connection:
            told = happenings.by(by, What.SESSION_KILLED, session=session, why=reason)
            self._told(connection, told, now)
            return jumps.ask_kill(connection, session, by.name, reason, now)

    def kills_since(self, number: int) -> list[Kill]:
        """The kills after `number`, oldest first, at most 1000."""
        with self.read() as connection:
            return jumps.kills_since(connection, number)

    def kills_of(self, sessions: Collection[int]) -> dict[int, Kill]:
        """The first kill of each of these sessions that has one, by its session."""
        with self.read() as connection:
            return jumps.kills_of(connection, sessions)

    def last_kill(self) -> int:
        """The number of the latest kill: what a process that starts need not look at."""
        with self.read() as connection:
            return jumps.last_kill(connection)

    def latest_time(self) -> datetime | None:
        """The latest wall time that was ever kept; None in a new database."""
        with self.read() as connection:
            return jumps.latest_time(connection)

    def demand_right_clock(self, now: datetime) -> None:
        """Raises Unavailable where `now` is before what has been already: a clock was set back."""
        latest = self.latest_time()
        if latest is not None and now + TOLERANCE < latest:
            raise Unavailable(
                f"The clock says {clock(now)}, but {clock(latest)} has been already: set it right, "
                "then look at bastion-admin doctor."
            )

    def saw_time(self, now: datetime) -> None:
        """Keep `now` if it is later than what was kept."""
        with self._write(now):
            pass

    def reset_time(self, by: Actor, now: datetime, reason: str) -> None:
        """Take `now` for the latest time although it is earlier: somebody mended a clock."""
        with self.write() as connection:
            told = happenings.of_reset(by, jumps.latest_time(connection), reason)
            jumps.reset_time(connection, now)
            self._told(connection, told, now)

    # What happened

    def last_event(self) -> int:
        """The number of the newest event, 0 where there is none."""
        with self.read() as connection:
            return events.last(connection)

    def tell(self, happened: Happened, now: datetime) -> Event:
        """Keep an event of something that changes nothing else here."""
        with self._write(now) as connection:
            return self._told(connection, happened, now)

    @contextmanager
    def writing(self, now: datetime) -> Iterator[Connection]:
        """A transaction for another room of the store's; it keeps `now` too."""
        with self._write(now) as connection:
            yield connection

    def _told(self, connection: Connection, happened: Happened, now: datetime) -> Event:
        return events.append(connection, self.chain, happened, now)

    @contextmanager
    def _write(self, now: datetime) -> Iterator[Connection]:
        with self.write() as connection:
            jumps.saw_time(connection, now)
            yield connection
