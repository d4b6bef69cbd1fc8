"""The home directory: where its parts lie, making one, and serving it once at a time.

A home is made beside its place and moved there whole, so that a half-made one is never found.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from bastion.addresses import Endpoint
from bastion.authority import certify_host, make_keys
from bastion.authority.keyfiles import AUDITOR, write_private
from bastion.config import principal
from bastion.errors import BadInput, Conflict, Misconfigured, Unavailable
from bastion.store import Store
from bastion.store.places import is_server
from bastion.workplace import made_whole, sync

SETTINGS = """\
# The settings of this bastion. They are read once, when a command or the service starts.
# Durations are written 30s, 90m, 2h, 1d; sizes 512MiB, 1GiB. What begins with "# " is the default.

# What this machine is called in the log of events; its own name if not said. Machines that share a
# database have names of their own.
# node = ""

# A line of yours that is shown at the start of every shell.
# notice = ""

[listen]
address = "{listen}"
# What the host certificate was made for: the names by which contractors may call the bastion.
names = [{names}]

[access]
# A contractor's certificate is good until the grant's end, and no longer than this.
# certificate_lifetime = "8h"
# What is revoked, for the RevokedKeys of targets: the service keeps it in this file, if one is set.
# krl = ""
# A request that nobody has decided by then has to be made anew.
# request_lifetime = "1d"

# Whom an account of this machine acts as, one a line, as in root="alice". Without it an account
# gives access in its own name, and can't approve.
[accounts]

[limits]
# connect_timeout = "10s"   # for reaching a target and logging in there
# login_grace = "30s"       # for signing in to the bastion
# without_database = "5m"   # so long do live sessions go on when the database does not answer
# stalled = "15s"           # a worker that gives no sign for so long is killed
# drain = "10s"             # so long may they go on after SIGTERM
# watch_wait = "10m"        # so long does a session wait that goes on only while somebody watches
# idle = "12h"              # a session in which nothing moves for so long ends; "" for never
# dead = "1m"               # who does not answer for so long is gone
# How many connections and sessions there may be stands in docs/limits.md.

# Behind a balancer that says by the PROXY protocol (version 2) who connects: its addresses. From
# there nothing else is taken, and from nobody else is it believed.
[proxy]
# balancers = []            # as in ["10.0.0.4"]

[recording]
# directory = "recordings"  # below this directory, unless it begins with /
# session_limit = "1GiB"    # after that, only lengths and hashes are kept
# sync = "1s"               # so often is what was recorded written to the disk for good
# stall = "30s"             # when the disk is so far behind with that, live sessions end; when it
#                           # lets a write wait for so long, so does the service
# checkpoint = "10s"        # so often does the database hear how far live recordings have come
# compact = "1m"            # so long after its end is a recording compressed; "" for never
# store = ""                # an object store, s3://BUCKET/PREFIX: docs/object-store.md
# keep_local = ""           # so long after its end is a recording also here; "" for ever
# recover_after = "15m"     # so long after a machine is lost do others recover what it recorded
# store_cache = "4GiB"      # so much of what was read from there is kept here
# low_water = "1GiB"        # with less of the disk free no session begins,
# reserve = "256MiB"        # then live ones end; with less than
# emergency_reserve = "64MiB"  # this, also those of break-glass
# To these keys is encrypted what contractors type. keys/auditor.age is the private half: take it
# away from this machine. Without any key, only lengths and hashes are kept.
auditors = ["{recipient}"]
# encrypt = false           # what was shown too, when a session is over: then it can't be searched
# Left out of transcripts, of what is searched and of exports for others, never of recordings:
# patterns of RE2, between single quotes, and sets of them (docs/input.md).
redact = ["set:all"]

# How long recordings are kept after their sessions have ended, as in "365d". For some hosts another
# time stands in a [[retention.rule]]: docs/retention.md shows one, and says what stays of them.
[retention]
# keep = "forever"

[audit]
# checkpoint = "1m"         # so often is the log of events sealed
# file = ""                 # the log as lines of JSON, as in "events.jsonl"
# syslog = ""               # the log, as in "/dev/log", "udp://log:514", "tcp://log:601"
# anchors = []              # who is told the checkpoints: addresses of syslog, "notify:CHANNEL",
#                           # "s3://BUCKET/PREFIX"
# anchor_every = "1h"       # a channel is told the newest no more often than this

# /metrics for Prometheus and /healthz, by HTTP: to whoever reaches the address, without a password.
[metrics]
# listen = ""               # as in "127.0.0.1:9322"

# A process of its own that alone holds the keys of the CAs: docs/signer.md says how.
[signer]
# socket = ""               # where it answers, as in "/run/bastion-signer/socket"
# timeout = "2s"            # it has to answer within

[log]
# format = "people"         # of what serve says on stderr: or "json", a line for each event

[database]
# A file for one machine, or a server for several: "postgresql://USER:PASSWORD@HOST/DATABASE".
{database}

# Who is told of requests, grants, emergencies and failures stands in a [[notify]] for each channel:
# a webhook, Slack, Teams or mail. docs/notifications.md shows them; notify test NAME tries one.
[telling]
# remind = "15m"            # after so long a request that waits is brought up again,
# escalate = "1h"           # and after so long it is told to those with escalate = true too
# before_end = "15m"        # so long before its end is a grant told of
# review = "1d"             # so often is break-glass that nobody has reviewed
"""

POLICY = """\
# The rules: who may ask for what, and who has to agree. They are tried in order, and the first that
# fits decides; what no rule allows is refused. They are read anew when this file changes.
# Look at them with bastion-admin policy check, and try them with bastion-admin policy test.

# Whoever administers this bastion may give an access alone, with bastion-admin grant. Make it
# narrower, or take it away, as soon as the rules below say who approves what.
[[rule]]
name = "given by an operator"
who = ["*"]
hosts = ["*"]
logins = ["*"]
allow = ["shell", "command", "sftp", "forward"]
longest = "30d"
operators = true

# [[rule]]
# name = "contractors on staging"
# who = ["@contractors"]
# hosts = ["label:env=staging"]
# logins = ["deploy"]
# allow = ["shell"]
# longest = "8h"
# days = "mon-fri"
# hours = "08:00-19:00"
# tz = "Europe/Berlin"
# approvals = [{ from = ["@leads", "label:owner"], count = 1 }]

# [[rule]]
# name = "break-glass"
# who = ["@on-call"]
# hosts = ["*"]
# logins = ["root"]
# allow = ["shell"]
# longest = "1h"
# emergency = true
"""

SETTINGS_FILE = "bastion.toml"
"""The file that makes a directory a home."""

HOST_CERTIFICATE_LIFE = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of a home. Nothing is looked at until somebody opens one of them."""

    directory: Path

    @classmethod
    def at(cls, directory: Path) -> Self:
        """The home in `directory`. Raises Misconfigured where there is none."""
        home = cls(directory)
        if not home.settings.exists():
            raise Misconfigured(
                f"There is no home in {directory}: make one with bastion-admin init, "
                "or name another with --home DIR."
            )
        return home

    @property
    def settings(self) -> Path:
        """`bastion.toml`."""
        return self.directory / SETTINGS_FILE

    @property
    def policy(self) -> Path:
        """`policy.toml`."""
        return self.directory / "policy.toml"

    @property
    def keys(self) -> Path:
        """The directory of the key files."""
        return self.directory / "keys"

    @property
    def auditor(self) -> Path:
        """The auditors' private half: an operator is to take it away."""
        return self.keys / AUDITOR

    @property
    def database(self) -> Path:
        """The database, where the settings do not say otherwise."""
        return self.directory / "bastion.db"

    @property
    def texts(self) -> Path:
        """The text index of what was recorded. It can be made anew from the recordings."""
        return self.directory / "search.db"

    @property
    def recordings(self) -> Path:
        """The recordings, where the settings do not say otherwise."""
        return self.directory / "recordings"

    @property
    def fetched(self) -> Path:
        """Copies of recordings that were read from the object store."""
        return self.directory / "fetched"

    @property
    def lock_file(self) -> Path:
        """What a process that serves this home holds."""
        return self.directory / "lock"

    @property
    def run(self) -> Path:
        """Where each process that carries sessions holds a lock of its own."""
        return self.directory / "run"

    @property
    def turns(self) -> Path:
        """Where the processes that carry sessions take turns with paths (`across`)."""
        return self.directory / "turns"

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Be the one process that serves this home: the descriptor of the lock.

        It goes with the process, however that ends, or stays with a program that takes its place
        and has the descriptor; the file stays and means nothing. Raises Conflict, Unavailable.
        """
        descriptor = self._opened_lock()
        try:
            self._take(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def served_by(self) -> int | None:
        """The pid of the process that serves this home now; None where there is none."""
        descriptor = self._opened_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(self.lock_file)
        finally:
            os.close(descriptor)
        return None

    def _opened_lock(self) -> int:
        try:
            return os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise Unavailable(f"{self.lock_file} can't be opened: {error.strerror}.") from error

    def _take(self, descriptor: int) -> None:
        """Tried five times, as somebody who only asks (`served_by`) holds it for a moment."""
        for _ in range(5):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02)
            except OSError as error:
                raise Unavailable(f"{self.lock_file} can't be locked: {error.strerror}.") from error
            else:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return
        pid = _pid_in(self.lock_file)
        who = f"the process {pid}" if pid else "another process"
        raise Conflict(f"{self.directory} is served already, by {who}: end that one first.")


@dataclass(frozen=True, slots=True)
class Made:
    """A home that was just made: `names` stand in its host certificate.

    `recipient` is the auditors' public key; its private half waits in `home.auditor`.
    """

    home: Home
    listen: Endpoint
    names: tuple[str, ...]
    recipient: str


def create(
    directory: Path,
    listen: Endpoint,
    names: tuple[str, ...],
    machine: str,
    now: datetime,
    *,
    database: str | None = None,
) -> Made:
    """A new home in `directory`, which may be there if it is empty; whole, or not at all.

    `database` is the URL of an empty database of a server; without one a file is made. The host
    certificate names each of `names` (`bastion` where there is none), the host of
    `listen` and `machine`. Raises BadInput, Conflict where there is one already, Unavailable.
    """
    if database is not None and not is_server(database):
        raise BadInput("--database takes postgresql://…; without it a file is made.")
    directory = directory.resolve()
    demand_empty(directory)
    certified = _certified(names, listen, machine)
    with made_whole(directory, SETTINGS_FILE) as workplace:
        recipient = _fill(Home(workplace), listen, certified, now, database)
    return Made(Home(directory), listen, certified, recipient)


def demand_empty(directory: Path) -> None:
    """Raises Conflict where a home can't be made, as something is there already; Unavailable."""
    try:
        if Home(directory).settings.exists():
            raise Conflict(f"There is a home in {directory} already: it is left as it is.")
        if directory.exists() and any(directory.iterdir()):
            raise Conflict(f"{directory} is not empty: name another with --home DIR.")
    except NotADirectoryError:
        raise Conflict(f"{directory} is not a directory: name another with --home DIR.") from None
    except OSError as error:
        raise Unavailable(f"{directory} can't be looked into: {error.strerror}.") from error


def _certified(names: tuple[str, ...], listen: Endpoint, machine: str) -> tuple[str, ...]:
    """What the host certificate names, in order, once each. A machine may be called anything."""
    wanted = [principal(name) for name in names or ("bastion",)]
    if listen.host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        wanted.append(listen.host)
    with suppress(BadInput):
        wanted.append(principal(machine))
    return tuple(dict.fromkeys(wanted))


def _fill(
    home: Home, listen: Endpoint, names: tuple[str, ...], now: datetime, database: str | None
) -> str:
    """Everything that a home has; the auditors' recipient."""
    for directory in (home.keys, home.recordings):
        directory.mkdir()
        directory.chmod(0o700)
    recipient = make_keys(home.keys)
    certify_host(home.keys, names, HOST_CERTIFICATE_LIFE, now)
    sync(home.keys)
    _begin(database or f"sqlite:///{home.database}", now)
    quoted = ", ".join(f'"{name}"' for name in names)
    url = f"url = {json.dumps(database)}" if database else '# url = "sqlite:///bastion.db"'
    settings = SETTINGS.format(listen=listen, names=quoted, recipient=recipient, database=url)
    write_private(home.policy, POLICY.encode())
    write_private(home.settings, settings.encode())
    return recipient


def _begin(url: str, now: datetime) -> None:
    """The database, with its schema and nothing in it. Raises Conflict where it is in use."""
    store = Store.open(url, migrate=True)
    try:
        if store.latest_time() is not None:
            raise Conflict(
                f"The database {store.database.name} has a home already: copy that one's "
                "bastion.toml, policy.toml and keys to this machine, or make another database."
            )
        store.saw_time(now)
    finally:
        store.close()


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_bytes()[:20])
    except (OSError, ValueError):
        return None
