"""Channels: what the settings name, made ready to be sent to. Secrets are read here, once.

A file with a secret is the owner's alone, or it is refused: whoever can read it can speak for us.
"""

import os
import ssl
import stat
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from bastion.delivering import Channel, Way
from bastion.errors import BadInput, Misconfigured
from bastion.letters import Posted, slack, teams, webhook, webhook_secret
from bastion.mailing import Mail, MailServer
from bastion.notices import Message, Subscription
from bastion.notify import Notify, loopback, post_url
from bastion.posting import Post

T = TypeVar("T")

LONGEST: Final = 4096
"""Bytes of a file with a secret."""

MOST_SECRETS: Final = 4
"""Secrets that a webhook is signed with at once, while one takes another's place."""


def channels(home: Path, settings: Sequence[Notify], proxy: str | None = None) -> list[Channel]:
    """The channels of a home. Raises Misconfigured."""
    return [Channel(_subscription(each), _way(home, each, proxy)) for each in settings]


def _subscription(settings: Notify) -> Subscription:
    return Subscription(
        channel=settings.name,
        groups=frozenset(settings.events),
        escalate=settings.escalate,
        to=settings.to if settings.kind == "mail" else None,
    )


def _way(home: Path, settings: Notify, proxy: str | None) -> Way:
    context = _context(home, settings)
    if settings.kind == "mail":
        return Mail(_mail_server(home, settings), settings.sender or "", context)
    url = settings.url
    if url is None:
        url = _read(home / (settings.url_file or ""), post_url)
    if loopback(urlsplit(url).hostname or ""):
        proxy = None
    return Post(url, _letter(home, settings), context=context, proxy=proxy)


def _letter(home: Path, settings: Notify) -> Callable[[Message, datetime], Posted]:
    if settings.kind == "webhook":
        return partial(webhook, secrets=_read(home / (settings.secret_file or ""), _secrets))
    form = slack if settings.kind == "slack" else teams
    return lambda message, _: form(message)


def _mail_server(home: Path, settings: Notify) -> MailServer:
    password = None
    if settings.password_file is not None:
        password = _read(home / settings.password_file, str)
    return MailServer(
        settings.host or "", settings.smtp_port, settings.tls, settings.user, password
    )


def _context(home: Path, settings: Notify) -> ssl.SSLContext:
    """For the CAs that the system trusts, or for those of a file alone."""
    try:
        if settings.ca_file is None:
            return ssl.create_default_context()
        return ssl.create_default_context(cafile=home / settings.ca_file)
    except ssl.SSLError:
        reason = "it has no certificate in PEM"
    except OSError as error:
        reason = error.strerror or "it can't be read"
    file = home / (settings.ca_file or "")
    raise Misconfigured(f"{file} can't be used as ca_file of {settings.name}: {reason}.")


def _secrets(text: str) -> tuple[bytes, ...]:
    words = text.split()
    if len(words) > MOST_SECRETS:
        raise BadInput(f"At most {MOST_SECRETS} webhook secrets are used at once: take one away.")
    return tuple(map(webhook_secret, words))


def _read(file: Path, understood: Callable[[str], T]) -> T:
    """What a secret file says. Raises Misconfigured, with none of it in the sentence."""
    try:
        return understood(_secret(file))
    except BadInput as error:
        raise Misconfigured(f"{file}: {error}") from None


def _secret(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            content = opened.read(LONGEST + 1)
    except OSError as error:
        raise Misconfigured(f"{file} can't be read: {error.strerror}.") from None
    if mode & 0o077:
        raise Misconfigured(f"Others may read {file} (mode {mode:04o}): chmod 600 {file}")
    text = content.decode("ascii", "replace").strip()
    if len(content) > LONGEST or not text or not text.isascii():
        raise Misconfigured(f"{file} has to have one secret in it, in ASCII: write it anew.")
    return text
