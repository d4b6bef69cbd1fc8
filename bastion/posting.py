"""Posting: one message to one URL over HTTP, and what was answered.

https is verified against the system's CAs, or those of a file. A redirect is not followed, an
answer is read for its first few words only, and the whole of it has a time limit. A URL is taken
for a secret, as Slack's is one: no sentence and no log line has more of it than the host.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bastion.letters import Posted
from bastion.notices import Answer, Message, plain
from bastion.unreachable import why

if TYPE_CHECKING:
    import httpx

PATIENCE: Final = 10.0
"""Seconds for the whole of a request."""

HEARD: Final = 2048
"""Bytes of an answer that are read."""

LONGEST_WAIT: Final = timedelta(hours=1)
"""No answer makes us wait for longer."""

_ABOUT_THE_MESSAGE = frozenset({400, 413, 415, 422})
"""What is said of one message, and not of whoever sends it or of the whole place."""


class Post:
    """A place that messages are posted to, each in the form that `letter` gives it.

    `context` is for https; `proxy` a URL, for other machines than this one.
    """

    def __init__(
        self,
        url: str,
        letter: Callable[[Message, datetime], Posted],
        *,
        context: ssl.SSLContext,
        proxy: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._url = url
        self._letter = letter
        self._context = context
        self._proxy = proxy
        self._patience = patience
        # It would write each URL to the log.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    async def send(self, message: Message, now: datetime) -> Answer:
        """Post it, and hear what is said."""
        try:
            async with asyncio.timeout(self._patience):
                return await self._sent(self._letter(message, now), now)
        except TimeoutError:
            return Answer(False, f"{self._host} did not answer within {self._patience:g} s")

    async def _sent(self, posted: Posted, now: datetime) -> Answer:
        # It takes as long to import as a command takes to run, and few commands send anything.
        import httpx  # noqa: PLC0415

        headers = {**posted.headers, "user-agent": "ssh-bastion", "accept-encoding": "identity"}
        client = httpx.AsyncClient(
            verify=self._context,
            trust_env=False,  # no proxy, password or CA that is not in the settings
            follow_redirects=False,
            proxy=self._proxy,
            timeout=self._patience,
        )
        try:
            async with (
                client,
                client.stream("POST", self._url, content=posted.body, headers=headers) as response,
            ):
                return await self._answer(response, now)
        except httpx.TimeoutException:
            raise TimeoutError from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(False, f"{self._host} can't be posted to: {why(error)}")

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or "the place"

    async def _answer(self, response: "httpx.Response", now: datetime) -> Answer:
        said = f"{self._host} answered {response.status_code}"
        if response.is_success:
            return Answer(True, said)  # whatever else would follow: it has been taken
        if response.is_redirect:
            return Answer(False, f"{said}, a redirect: set the URL that it leads to")
        body = await _beginning(response)
        words = plain(self._without_url(body.decode("utf-8", "replace")), 200)
        return Answer(
            False,
            f"{said}: {words}" if words else said,
            refused=response.status_code in _ABOUT_THE_MESSAGE,
            wait=_retry_after(response.headers.get("retry-after", ""), now),
        )

    def _without_url(self, text: str) -> str:
        """Some servers say which path they do not know; for Slack and others that is the secret."""
        parts = urlsplit(self._url)
        for secret in (parts.query, parts.path):
            if len(secret) > 1:
                text = text.replace(secret, "…")
        return text


async def _beginning(response: "httpx.Response") -> bytes:
    """The first bytes of an answer; whoever sends more is not listened to."""
    body = b""
    async for chunk in response.aiter_raw(HEARD):
        body += chunk
        if len(body) >= HEARD:
            break
    return body[:HEARD]


def _retry_after(text: str, now: datetime) -> timedelta | None:
    """The header Retry-After (RFC 9110 section 10.2.3): seconds, or a date."""
    if text.isascii() and text.isdecimal():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta()), LONGEST_WAIT)
