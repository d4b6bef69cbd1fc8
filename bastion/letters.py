"""Letters: what a message looks like on its way, for each kind of channel. Pure.

webhook   JSON, signed as in Standard Webhooks (github.com/standard-webhooks, spec 1.0.0)
slack     an incoming webhook's JSON, which Mattermost and others take too
teams     an Adaptive Card in the envelope that Teams' Workflows take
mail      a text/plain message (RFC 5322)

A message's fields are plain lines already. Here nothing of them becomes markup, a mention, a link
or a header's end: where a form has text without markup that one is used, elsewhere it is escaped.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

import orjson

from bastion.errors import BadInput
from bastion.notices import Json, Message, moment, plain

_ADDRESS = re.compile(
    r"(?=[^@]{1,64}@.{1,190}\Z)[A-Za-z0-9_%+-]+(?:\.[A-Za-z0-9_%+-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*",
    re.ASCII,
)

_SLACK_TEXT: Final = 2900
"""Characters of one text block; Slack refuses 3000 and more."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The body of an HTTP request, and its headers beside those of HTTP itself."""

    body: bytes
    headers: Mapping[str, str]


# Standard Webhooks


def webhook(message: Message, now: datetime, secrets: Sequence[bytes]) -> Posted:
    """The signed message. With several secrets it is signed by each, while one is exchanged.

    The id stays the same at every try, the timestamp is that of the try.
    """
    body = orjson.dumps(
        {"type": message.type, "timestamp": moment(message.at), "data": dict(message.data)}
    )
    timestamp = str(int(now.timestamp()))
    signed = f"{message.id}.{timestamp}.".encode() + body
    signatures = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return Posted(
        body,
        {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(
                f"v1,{base64.b64encode(each).decode()}" for each in signatures
            ),
        },
    )


def webhook_secret(text: str) -> bytes:
    """The secret in `whsec_…`, 24 to 64 bytes in base64. Raises BadInput, without a word of it."""
    head, _, rest = text.strip().partition("_")
    try:
        secret = base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if head != "whsec" or not 24 <= len(secret) <= 64:
        raise BadInput(
            "That is no webhook secret: it is whsec_ and 24 to 64 random bytes in base64."
        )
    return secret


# Chat


def slack(message: Message) -> Posted:
    """Plain text in blocks, and the same escaped for notifications and for other programs."""
    shown = [f"{name}: {value}" for name, value in message.fields]
    lines = [f"`{line}`" for line in message.lines]
    text = "\n".join([f"*{_escaped(message.title)}*", *map(_escaped, shown), *lines])
    blocks: list[Json] = [_header(message)]
    blocks += [_section("plain_text", part) for part in _parts(shown, _SLACK_TEXT)]
    if lines:
        blocks.append(_section("mrkdwn", "\n".join(lines)))
    return _json({"text": text, "blocks": blocks, "unfurl_links": False, "unfurl_media": False})


def teams(message: Message) -> Posted:
    """A card of text runs, which know no Markdown."""
    title = {"text": message.title, "weight": "Bolder", "size": "Medium"}
    body: list[Json] = [_runs(title | ({"color": "Attention"} if message.urgent else {}))]
    for name, value in message.fields:
        body.append(_runs({"text": f"{name}: ", "weight": "Bolder"}, {"text": value}))
    body += [_runs({"text": line, "fontType": "Monospace"}) for line in message.lines]
    card: dict[str, Json] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment: Json = {"contentType": kind, "contentUrl": None, "content": card}
    return _json({"type": "message", "attachments": [attachment]})


def _runs(*runs: Mapping[str, str]) -> Json:
    return {
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", **run} for run in runs],
        "spacing": "Small",
    }


def _header(message: Message) -> Json:
    text: Json = {"type": "plain_text", "text": plain(message.title, 150), "emoji": False}
    return {"type": "header", "text": text}


def _section(kind: str, text: str) -> Json:
    shown: dict[str, Json] = {"type": kind, "text": text}
    return {"type": "section", "text": shown | ({"emoji": False} if kind == "plain_text" else {})}


def _escaped(text: str) -> str:
    """For Slack's mrkdwn: `&`, `<` and `>` make its links and mentions, these three its styles."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([*_~`])", "\u200b\\1", text)


def _parts(lines: Sequence[str], most: int) -> list[str]:
    """Lines put together to texts of at most `most` characters."""
    parts: list[str] = []
    for line in lines:
        if parts and len(parts[-1]) + len(line) + 1 <= most:
            parts[-1] += f"\n{line}"
        else:
            parts.append(line[:most])
    return parts


def _json(body: Mapping[str, Json]) -> Posted:
    return Posted(orjson.dumps(body), {"content-type": "application/json"})


# Mail


def mail(message: Message, sender: str, now: datetime) -> bytes:
    """The mail from `sender` to the message's receiver, as SMTP carries it.

    The Message-ID stays the same at every try. No program is to answer it (RFC 3834).
    """
    sender, to = address(sender), address(message.to or "")
    letter = EmailMessage(policy=SMTP)
    letter["From"] = Address("bastion", addr_spec=sender)
    letter["To"] = Address(addr_spec=to)
    letter["Subject"] = f"[bastion] {plain(message.title, 180)}"
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    if message.urgent:
        letter["Importance"] = "high"
    letter.set_content(_text(message), charset="utf-8", cte="quoted-printable")
    return letter.as_bytes()


def address(text: str) -> str:
    """A mail address that can stand in a header and in SMTP. Raises BadInput."""
    if _ADDRESS.fullmatch(text) is None:
        raise BadInput(f"{text[:80]!a} is not a mail address: write it as in ops@example.org.")
    return text


def _text(message: Message) -> str:
    width = max((len(name) for name, _ in message.fields), default=0) + 2
    parts = [
        message.title,
        "\n".join(f"{name + ':':{width}}{value}" for name, value in message.fields),
        "\n".join(f"    {line}" for line in message.lines),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
