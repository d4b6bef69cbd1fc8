"""The settings: `bastion.toml`, read once, frozen; and where the home directory is.

Only the front doors (`app`, the command line) see this room: they take the settings apart and
hand the others what each needs. Whatever is wrong is one sentence with the file, the line where
it is known, and the mend.
"""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, model_validator

from bastion.addresses import Endpoint, parse_endpoint
from bastion.durations import parse_duration
from bastion.errors import BadInput, Misconfigured
from bastion.inventory import Selector, parse_selector
from bastion.limit_settings import Limits, ProxySettings
from bastion.names import free_text, group_name, host_name, user_name
from bastion.notify import Channels, TellingSettings
from bastion.objects import Bucket, parse_bucket
from bastion.retention import Retention, Rule, parse_keep
from bastion.setting_types import Ending, Lifetime, Seconds, Size
from bastion.syslog import Address, parse_address
from bastion.text_files import read_text
from bastion.toml_model import Part, meant, parse, text
from recorder.errors import BadPattern
from recorder.redaction import MOST, Redaction
from recorder.space import Marks

VARIABLES = frozenset({"BASTION_HOME"})
"""The environment variables that are read."""

_MISSING = "restore it, or make a home with init"


class Place(Protocol):
    """A home directory, as far as the settings need one (`home.Home`)."""

    @property
    def directory(self) -> Path: ...
    @property
    def settings(self) -> Path: ...


def principal(text: str) -> str:
    """What a host certificate may name: a host's name or an IP address. Raises BadInput."""
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return host_name(text.strip())


def recipient(text: str) -> str:
    """An auditors' public key, by its looks: age's own, or an SSH key. Raises BadInput."""
    if "SECRET" in text.upper():
        raise BadInput("That is the auditors' private half: it does not belong on this machine.")
    if re.fullmatch(r"age1[a-z0-9]{10,2000}|ssh-(?:ed25519|rsa) [ -~]{10,2000}", text) is None:
        raise BadInput(f"{text[:40]!a} is not an auditors' public key: one begins with age1.")
    return text


def anchor(line: str) -> Address | Bucket | str:
    """Who is told checkpoints: `notify:NAME` is a channel's name, else it is an object store
    (`s3://BUCKET/PREFIX`, `file:///DIRECTORY`) or an address of syslog. Raises BadInput.
    """
    kind, _, name = line.partition(":")
    try:
        if kind in ("s3", "gs", "az", "file"):
            return parse_bucket(line)
        return group_name(name) if kind == "notify" else parse_address(line)
    except BadInput:
        raise BadInput(
            f"{line[:60]!a} is no anchor: write notify:NAME for a channel, an object store "
            "(s3://BUCKET/PREFIX, file:///DIRECTORY), or an address of syslog (/dev/log, "
            "udp://HOST:514, tcp://HOST:601)."
        ) from None


def pattern(text: str) -> str:
    """A pattern of what is redacted, or a set of them. Raises BadInput."""
    try:
        Redaction([text])
    except BadPattern as error:
        raise BadInput(f"{error}.") from None
    return text


ListenAt = Annotated[Endpoint, text(parse_endpoint)]
AskedAt = Annotated[Endpoint | None, text(lambda line: parse_endpoint(line) if line else None)]
Name = Annotated[str, text(principal)]
Line = Annotated[str, text(lambda line: line and free_text(line, "notice"))]
Node = Annotated[str, text(lambda name: name and host_name(name))]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$")]
UserName = Annotated[str, text(user_name)]
Recipient = Annotated[str, text(recipient)]
AnchorAt = Annotated[Address | Bucket | str, text(anchor)]
HostSelector = Annotated[Selector, text(parse_selector)]
Keep = Annotated[timedelta | None, text(parse_keep)]
Pattern = Annotated[str, text(pattern)]


class Listen(Part):
    """`[listen]`: the address, and the names that the host certificate was made for."""

    address: ListenAt = Endpoint("127.0.0.1", 2222)
    names: tuple[Name, ...] = ("bastion",)

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.address.host

    @property
    def port(self) -> int:
        """The port to listen on."""
        return self.address.port


class AccessSettings(Part):
    """`[access]`: the longest that a contractor's certificate is good; how long a request waits;
    where a list of what is revoked is kept (below the home, unless the path begins with /)."""

    certificate_lifetime: Lifetime = timedelta(hours=8)
    request_lifetime: Lifetime = timedelta(days=1)
    krl: Annotated[str, Field(max_length=1000)] = ""


class RecordingSettings(Part):
    """`[recording]`: where recordings lie (below the home, unless the path begins with /), how
    long one may be in bytes, to whom what contractors send is encrypted, and what is left out of
    transcripts, of what is searched, and of exports for others. With `encrypt`, recordings that are
    over are encrypted to the auditors as well.

    Below `low_water` bytes of free disk no session begins, below `reserve` the live ones end; from
    `emergency_reserve` on this is so for break-glass too. On a small disk they are a tenth, a
    twentieth and a fiftieth of it at most. What is recorded is synced to the disk every `sync`;
    when the disk is `stall` behind with that, live sessions end, and so does the process when it
    has not moved for so long. How far live recordings have come is kept in the database every
    `checkpoint`. A recording is compacted when its session has been over for `compact`; None for
    never.

    With a `store` each recording goes into that object store as well. Those that have been over for
    `keep_local` are then kept there only; None keeps them here too. What is read from there is kept
    here in at most `store_cache` bytes. Of a machine that has been gone for `recover_after`, others
    recover the recordings from there.
    """

    directory: Annotated[str, Field(min_length=1, max_length=1000)] = "recordings"
    session_limit: Size = 2**30
    sync: Seconds = 1.0
    stall: Seconds = 30.0
    compact: Ending = timedelta(minutes=1)
    checkpoint: Seconds = 10.0
    store: Annotated[Bucket | None, text(lambda url: parse_bucket(url) if url else None)] = None
    keep_local: Annotated[
        timedelta | None, text(lambda words: parse_duration(words) if words else None)
    ] = None
    store_cache: Size = 2**32
    recover_after: Lifetime = timedelta(minutes=15)
    low_water: Size = 2**30
    reserve: Size = 2**28
    emergency_reserve: Size = 2**26
    auditors: tuple[Recipient, ...] = ()
    encrypt: Annotated[bool, Field(strict=True)] = False
    redact: Annotated[tuple[Pattern, ...], Field(max_length=MOST)] = ()

    @model_validator(mode="after")
    def _has_somebody_to_encrypt_to(self) -> Self:
        if self.encrypt and not self.auditors:
            raise ValueError(
                "encrypt needs auditors: name their public keys, or nobody could read a recording"
            )
        return self

    @model_validator(mode="after")
    def _keeps_them_somewhere(self) -> Self:
        if self.keep_local is not None and self.store is None:
            raise ValueError("keep_local needs a store: otherwise no recording would be left")
        return self

    @property
    def marks(self) -> Marks:
        """How much of the disk has to be free for what."""
        return Marks(self.low_water, self.reserve, self.emergency_reserve)


class RetentionRule(Part):
    """A `[[retention.rule]]`: for these hosts another time than `[retention]` says."""

    hosts: Annotated[tuple[HostSelector, ...], Field(min_length=1, max_length=50)]
    keep: Keep


class RetentionSettings(Part):
    """`[retention]`: how long recordings are kept after their sessions have ended, by the first
    rule that fits the host, else by `keep`; for ever where nothing is said."""

    keep: Keep = None
    rule: Annotated[tuple[RetentionRule, ...], Field(max_length=100)] = ()

    @property
    def rules(self) -> Retention:
        """The same as values."""
        return Retention(self.keep, tuple(Rule(rule.hosts, rule.keep) for rule in self.rule))


class AuditSettings(Part):
    """`[audit]`: how often the log of events is sealed while the service runs; where it goes to
    (the file lies below the home, unless the path begins with /); and who is told the checkpoints:
    addresses of syslog, object stores, and names of channels, these no more often than
    `anchor_every`."""

    checkpoint: Seconds = 60.0
    file: Annotated[str, Field(max_length=1000)] = ""
    syslog: Annotated[Address | None, text(lambda line: parse_address(line) if line else None)] = (
        None
    )
    anchors: Annotated[tuple[AnchorAt, ...], Field(max_length=8)] = ()
    anchor_every: Lifetime = timedelta(hours=1)


class MetricsSettings(Part):
    """`[metrics]`: where the numbers and the state are told by HTTP, to whoever asks; empty: to
    nobody."""

    listen: Annotated[
        Endpoint | None, text(lambda line: parse_endpoint(line) if line else None)
    ] = None


class SignerSettings(Part):
    """`[signer]`: the socket of the signer, which then alone holds the CAs' private halves, and how
    long it has to answer. Empty: they lie in the home, and the bastion's processes sign."""

    socket: Annotated[str, Field(max_length=100, pattern="^(/.*)?$")] = ""
    timeout: Seconds = 2.0


class LogSettings(Part):
    """`[log]`: whether the service's own log is for people, or lines of JSON."""

    format: Literal["people", "json"] = "people"


class DatabaseSettings(Part):
    """`[database]`: `sqlite:///FILE`; a FILE without a leading / lies below the home."""

    url: Annotated[str, Field(min_length=1, max_length=1000)] = "sqlite:///bastion.db"


class Settings(Part):
    """All of `bastion.toml`. `accounts` says which user an account of this machine acts as; `node`
    is what this machine is called in the log of events, if not by its own name."""

    listen: Listen = Listen()
    access: AccessSettings = AccessSettings()
    limits: Limits = Limits()
    proxy: ProxySettings = ProxySettings()
    recording: RecordingSettings = RecordingSettings()
    retention: RetentionSettings = RetentionSettings()
    audit: AuditSettings = AuditSettings()
    database: DatabaseSettings = DatabaseSettings()
    metrics: MetricsSettings = MetricsSettings()
    signer: SignerSettings = SignerSettings()
    log: LogSettings = LogSettings()
    accounts: dict[Account, UserName] = Field(default_factory=dict)
    notify: Channels = ()
    telling: TellingSettings = TellingSettings()
    notice: Line = ""
    node: Node = ""

    @model_validator(mode="after")
    def _waits_for_machines_that_are_only_away(self) -> Self:
        """They end their sessions by themselves, and until then they may come back with them."""
        longest = timedelta(seconds=self.limits.without_database)
        least, stored = longest + timedelta(minutes=1), self.recording.store is not None
        if stored and self.recording.recover_after < least:
            raise ValueError(
                "recover_after has to be longer than limits.without_database, by a minute: until "
                "then a lost machine may still be recording"
            )
        return self

    @classmethod
    def read(cls, home: Place) -> Self:
        """The settings of a home. Raises Misconfigured."""
        return cls.parse(read_text(home.settings, _MISSING), home.settings)

    @classmethod
    def parse(cls, content: str, file: Path) -> Self:
        """The settings in `content`, which stands in `file`. Raises Misconfigured."""
        return parse(cls, content, file)

    def recordings(self, home: Place) -> Path:
        """The directory of the recordings."""
        return home.directory / self.recording.directory

    @property
    def signer_socket(self) -> Path | None:
        """The signer's socket; None where there is none."""
        return Path(self.signer.socket) if self.signer.socket else None

    def krl(self, home: Place) -> Path | None:
        """The file of the list of what is revoked; None where none is kept."""
        return home.directory / self.access.krl if self.access.krl else None

    def audit_file(self, home: Place) -> Path | None:
        """The file to which the log of events goes; None where it goes to none."""
        return home.directory.absolute() / self.audit.file if self.audit.file else None

    def database_url(self, home: Place) -> str:
        """The database's URL with the whole path in it."""
        scheme, slashes, file = self.database.url.partition(":///")
        if scheme != "sqlite" or not slashes or file.startswith((":", "?")) or not file:
            return self.database.url
        return f"sqlite:///{home.directory.absolute() / file}"


def home_directory(option: Path | None, environ: Mapping[str, str]) -> Path:
    """Where the home is: `--home`, else `BASTION_HOME`, else by who runs it."""
    if option is not None:
        return option.expanduser().absolute()
    if environ.get("BASTION_HOME"):
        return Path(environ["BASTION_HOME"]).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/bastion")
    return Path("~/.local/share/bastion").expanduser()


def check_environment(environ: Mapping[str, str]) -> None:
    """Raises Misconfigured at a `BASTION_…` variable that is not known: it may be misspelt."""
    for name in sorted(environ):
        if name.startswith("BASTION_") and name not in VARIABLES:
            hint = meant(name, VARIABLES) or f" Known: {', '.join(sorted(VARIABLES))}."
            raise Misconfigured(f"The environment variable {name[:80]!a} is not known.{hint}")
