"""Settings of the channels: `[[notify]]` and `[telling]` in `bastion.toml`.

What is asked of a channel depends on its kind; whatever does not fit is one sentence with the mend.
No file is read here: a secret is named by the file that it lies in.
"""

from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from bastion.durations import parse_duration
from bastion.errors import BadInput
from bastion.letters import address
from bastion.mailing import Tls
from bastion.notices import APPROVERS, REQUESTER, Group
from bastion.reminders import Timing
from bastion.toml_model import Part, text

PORTS = {Tls.STARTTLS: 587, Tls.IMPLICIT: 465, Tls.NONE: 25}
"""Where mail is handed in, unless the settings say otherwise (RFC 8314)."""

MOST_CHANNELS = 32


def post_url(words: str) -> str:
    """A URL to post to: https, or http on this machine. Raises BadInput, which shows none of it."""
    words = words.strip()
    try:
        parts = urlsplit(words)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if not host or parts.scheme not in ("https", "http") or not words.isprintable():
        raise BadInput("That is no URL to post to: write https://HOST/PATH.")
    if parts.scheme == "http" and not loopback(host):
        raise BadInput(f"http to {host[:80]} can be read on the way: write https.")
    return words


def proxy_url(words: str) -> str:
    """A URL of a proxy. Raises BadInput."""
    parts = urlsplit(words)
    if parts.scheme not in ("http", "https") or not parts.hostname or not words.isprintable():
        raise BadInput("That is no proxy: write it as in http://proxy.example.org:3128.")
    return words


def loopback(host: str) -> bool:
    """Whether `host` is this machine, by its looks."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def receiver(words: str) -> str:
    """A mail address, or `approvers` or `requester`. Raises BadInput."""
    return words if words in (APPROVERS, REQUESTER) else address(words)


ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$")]
File = Annotated[str, Field(min_length=1, max_length=1000)]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$")]
MailAddress = Annotated[str, text(address)]
Receiver = Annotated[str, text(receiver)]
Url = Annotated[str, text(post_url)]
Span = Annotated[timedelta, text(parse_duration)]

_HTTP = ("url", "url_file")
_MAIL = ("to", "host", "port", "tls", "user", "password_file", "from")


class Notify(Part):
    """One `[[notify]]`: a channel, what it wants to hear, and how it is reached.

    A file lies below the home, unless its path begins with /. With `escalate` a channel hears only
    what nobody has answered.
    """

    kind: Literal["webhook", "slack", "teams", "mail"]
    name: ChannelName
    events: tuple[Group, ...] = tuple(Group)
    escalate: bool = False
    url: Url | None = Field(default=None, repr=False)
    url_file: File | None = None
    secret_file: File | None = None
    ca_file: File | None = None
    to: tuple[Receiver, ...] = ()
    host: HostName | None = None
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = None
    tls: Tls = Tls.STARTTLS
    user: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    password_file: File | None = None
    sender: MailAddress | None = Field(default=None, alias="from")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        foreign = _HTTP if self.kind == "mail" else _MAIL
        given = {_key(name) for name in self.model_fields_set}
        for key in (*foreign, *(() if self.kind == "webhook" else ("secret_file",))):
            if key in given:
                raise ValueError(f'{key} is not for kind = "{self.kind}": take it away')
        problem = self._mail_problem() if self.kind == "mail" else self._http_problem()
        if problem is not None:
            raise ValueError(problem)
        return self

    def _http_problem(self) -> str | None:
        if (self.url is None) == (self.url_file is None):
            return f"{self.name} needs a URL: give either url or url_file"
        if self.kind == "webhook" and self.secret_file is None:
            return (
                f"{self.name} needs a secret to sign with: give secret_file, "
                "a file with whsec_ and 24 to 64 random bytes in base64"
            )
        return None

    def _mail_problem(self) -> str | None:
        for key, value in (("host", self.host), ("from", self.sender), ("to", self.to)):
            if not value:
                return f"{self.name} can send no mail without {key}"
        if (self.user is None) != (self.password_file is None):
            return f"{self.name} needs both user and password_file to sign in, or neither"
        if self.tls is Tls.NONE and not loopback(self.host or ""):
            return f"mail to {self.host} can be read on the way: set tls to starttls or implicit"
        return None

    @property
    def smtp_port(self) -> int:
        """The port of the mail server."""
        return self.port or PORTS[self.tls]


def _once_each(channels: tuple[Notify, ...]) -> tuple[Notify, ...]:
    """The channels, if no two have one name. Raises ValueError."""
    names = [channel.name for channel in channels]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two channels are called {twice}: give one another name")
    return channels


Channels = Annotated[
    tuple[Notify, ...], Field(max_length=MOST_CHANNELS), AfterValidator(_once_each)
]


class TellingSettings(Part):
    """`[telling]`: when time brings a message, and the proxy that https goes through."""

    remind: Span = timedelta(minutes=15)
    escalate: Span = timedelta(hours=1)
    before_end: Span = timedelta(minutes=15)
    review: Span = timedelta(days=1)
    proxy: Annotated[str, text(proxy_url)] | None = None

    @model_validator(mode="after")
    def _in_turn(self) -> Self:
        if self.escalate <= self.remind:
            raise ValueError("escalate has to be longer than remind, which comes first")
        return self

    @property
    def timing(self) -> Timing:
        """When what is said."""
        return Timing(self.remind, self.escalate, self.before_end, self.review)


def _key(name: str) -> str:
    return "from" if name == "sender" else name
