"""The settings: `bastion.toml`, read once, frozen; and where the home directory is.

Only the front doors (`app`, the command line) see this room: they take the settings apart and
hand the others what each needs. Whatever is wrong is one sentence with the file, the line where
it is known, and the mend.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Protocol, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from bastion.addresses import Endpoint, parse_endpoint
from bastion.durations import parse_duration, parse_size
from bastion.errors import BadInput, Misconfigured
from bastion.names import free_text, host_name, user_name

VARIABLES = frozenset({"BASTION_HOME"})
"""The environment variables that are read."""

LIMIT = 256 * 1024
"""The longest settings file that is read, in bytes."""

_T = TypeVar("_T")


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


def _text(read: Callable[[str], _T]) -> BeforeValidator:
    """A validator for a text that `read` understands."""

    def validate(value: object) -> _T:
        if not isinstance(value, str):
            raise ValueError(f"has to be a text between quotes (it is {str(value)[:60]!a})")
        try:
            return read(value)
        except BadInput as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


Seconds = Annotated[float, _text(lambda text: parse_duration(text).total_seconds())]
Lifetime = Annotated[timedelta, _text(parse_duration)]
Size = Annotated[int, _text(parse_size)]
Address = Annotated[Endpoint, _text(parse_endpoint)]
Name = Annotated[str, _text(principal)]
Line = Annotated[str, _text(lambda text: text and free_text(text, "notice"))]
Account = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,31}$")]
UserName = Annotated[str, _text(user_name)]
Recipient = Annotated[str, _text(recipient)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Listen(_Part):
    """`[listen]`: the address, and the names that the host certificate was made for."""

    address: Address = Endpoint("127.0.0.1", 2222)
    names: tuple[Name, ...] = ("bastion",)

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.address.host

    @property
    def port(self) -> int:
        """The port to listen on."""
        return self.address.port


class AccessSettings(_Part):
    """`[access]`: the longest that a contractor's certificate is good; how long a request waits."""

    certificate_lifetime: Lifetime = timedelta(hours=8)
    request_lifetime: Lifetime = timedelta(days=1)


class Limits(_Part):
    """`[limits]`: waits in seconds (written as durations), and counts.

    `without_database` is how long live sessions go on when the database does not answer.
    """

    connect_timeout: Seconds = 10.0
    login_grace: Seconds = 30.0
    without_database: Seconds = 300.0
    drain: Seconds = 10.0
    connections: Count = 4000
    unauthenticated: Count = 200
    unauthenticated_per_source: Count = 50


class RecordingSettings(_Part):
    """`[recording]`: where recordings lie (below the home, unless the path begins with /), how
    long one may be in bytes, and to whom what contractors send is encrypted."""

    directory: Annotated[str, Field(min_length=1, max_length=1000)] = "recordings"
    session_limit: Size = 2**30
    auditors: tuple[Recipient, ...] = ()


class DatabaseSettings(_Part):
    """`[database]`: `sqlite:///FILE`; a FILE without a leading / lies below the home."""

    url: Annotated[str, Field(min_length=1, max_length=1000)] = "sqlite:///bastion.db"


class Settings(_Part):
    """All of `bastion.toml`. `accounts` says which user an account of this machine acts as."""

    listen: Listen = Listen()
    access: AccessSettings = AccessSettings()
    limits: Limits = Limits()
    recording: RecordingSettings = RecordingSettings()
    database: DatabaseSettings = DatabaseSettings()
    accounts: dict[Account, UserName] = {}
    notice: Line = ""

    @classmethod
    def read(cls, home: Place) -> Self:
        """The settings of a home. Raises Misconfigured."""
        return cls.parse(_content(home.settings), home.settings)

    @classmethod
    def parse(cls, text: str, file: Path) -> Self:
        """The settings in `text`, which stands in `file`. Raises Misconfigured."""
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"{file} is not TOML: {str(error)[:200]}.") from None
        except RecursionError:
            raise Misconfigured(f"{file} is not TOML: it is nested too deeply.") from None
        except ValidationError as error:
            raise Misconfigured(_sentence(file, text, error.errors()[0])) from None

    def recordings(self, home: Place) -> Path:
        """The directory of the recordings."""
        return home.directory / self.recording.directory

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
            meant = _meant(name, VARIABLES) or f" Known: {', '.join(sorted(VARIABLES))}."
            raise Misconfigured(f"The environment variable {name[:80]!a} is not known.{meant}")


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise Misconfigured(f"{file} is longer than {LIMIT} bytes: is it the right file?")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise Misconfigured(f"{file} is missing: restore it, or make a home with init.") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{file} is not UTF-8 text: write it again as UTF-8.") from None
    except OSError as error:
        raise Misconfigured(f"{file} can't be read: {error.strerror}.") from None


def _sentence(file: Path, text: str, error: ErrorDetails) -> str:
    path = [str(part) for part in error["loc"] if isinstance(part, str)]
    name, line = ".".join(path)[:120], _line_of(text, path)
    where = f"{file}, line {line}" if line else str(file)
    if error["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        listed = f" Known here: {', '.join(sorted(known))}."
        return f"{where}: {name!a} is not a setting.{_meant(path[-1], known) or listed}"
    if error["type"] == "model_type":
        return f"{where}: {name} has to be a table: write [{name}] on a line of its own."
    if error["type"] == "value_error":  # one of our own, which shows what may be shown
        said = error["msg"].removeprefix("Value error, ").rstrip(".")
    else:
        said = f"{error['msg']} (it is {str(error['input'])[:60]!a})"
    return f"{where}: {name}: {said[:1].lower() + said[1:]}."


def _fields_at(path: list[str]) -> frozenset[str]:
    model: type[BaseModel] = Settings
    for part in path:
        found = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(found, type) and issubclass(found, BaseModel)):
            return frozenset()
        model = found
    return frozenset(model.model_fields)


def _meant(name: str, known: frozenset[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f" Do you mean {close[0]}?" if close else ""


def _line_of(text: str, path: list[str]) -> int | None:
    """The line that sets `path`, or that opens the table which lacks it, where one can be found."""
    table: list[str] = []
    opened = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.fullmatch(r"\s*\[\s*([A-Za-z0-9_.-]+)\s*\]\s*(?:#.*)?", line)
        if header:
            table = header[1].split(".")
            opened = number if table == path or table == path[:-1] else opened
        key = re.match(r"\s*([A-Za-z0-9_.-]+)\s*=", line)
        if key and table + key[1].split(".") == path:
            return number
    return opened
