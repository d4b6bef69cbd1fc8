"""Mailing: one message to one address over SMTP, and what was answered.

smtplib blocks, so each message has a thread of its own, and a time limit around it: a server that
never finishes keeps that thread, which nobody waits for, and no other message goes there meanwhile.
There is no fall back to plain text: where TLS is asked for and not to be had, nothing is sent.
"""

import asyncio
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO, Final

from bastion.errors import BadInput
from bastion.letters import address, mail
from bastion.notices import Answer, Message, plain
from bastion.unreachable import why

PATIENCE: Final = 10.0
"""Seconds for each step of a conversation with the server."""

WHOLE: Final = 30.0
"""Seconds for all of it."""

HEARD: Final = 64 * 1024
"""Bytes that a server may say."""


class Tls(StrEnum):
    """How a connection to a mail server is protected (RFC 8314)."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)


class Mail:
    """A mail server that messages are handed to, from the address `sender`."""

    def __init__(
        self,
        server: MailServer,
        sender: str,
        context: ssl.SSLContext,
        patience: float = PATIENCE,
        whole: float = WHOLE,
    ) -> None:
        self._server = server
        self._sender = sender
        self._context = context
        self._patience = patience
        self._whole = whole
        self._thread: threading.Thread | None = None

    async def send(self, message: Message, now: datetime) -> Answer:
        """Hand it in, and hear what is said."""
        if self._thread is not None and self._thread.is_alive():
            return Answer(False, f"{self._server.host} has not finished with the one before")
        try:
            letter, to = mail(message, self._sender, now), address(message.to or "")
        except BadInput as error:
            return Answer(False, str(error), refused=True)
        talk = _Talk(self._server, self._context, self._patience)
        try:
            async with asyncio.timeout(self._whole):
                return await self._threaded(lambda: talk.deliver(self._sender, to, letter))
        except TimeoutError:
            return Answer(False, f"{self._server.host} did not finish within {self._whole:g} s")
        finally:
            talk.hang_up()

    async def _threaded(self, work: Callable[[], Answer]) -> Answer:
        """In a daemon thread, as an executor's would be waited for when the process ends."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def answer(said: Answer | Exception) -> None:
            if answered.done():
                return
            if isinstance(said, Answer):
                answered.set_result(said)
            else:
                answered.set_exception(said)

        def run() -> None:
            said: Answer | Exception
            try:
                said = work()
            except Exception as error:  # noqa: BLE001 (raised again where it is waited for)
                said = error
            with suppress(RuntimeError):  # the loop is gone, and nobody wants to know
                loop.call_soon_threadsafe(answer, said)

        self._thread = threading.Thread(target=run, name="mail", daemon=True)
        self._thread.start()
        return await answered


class _Talk:
    """One conversation with a mail server, in a thread; `hang_up` ends it from another."""

    def __init__(self, server: MailServer, context: ssl.SSLContext, patience: float) -> None:
        self._server = server
        self._context = context
        name = socket.gethostname()
        if server.tls is Tls.IMPLICIT:
            self._smtp: _Smtp = _SmtpTls(local_hostname=name, timeout=patience, context=context)
        else:
            self._smtp = _Smtp(local_hostname=name, timeout=patience)

    def hang_up(self) -> None:
        """End it at once, if it has not ended."""
        sock = self._smtp.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def deliver(self, sender: str, to: str, letter: bytes) -> Answer:
        """All of it, from the greeting on. What the server says last counts."""
        where = self._server.host
        try:
            self._begin()
            return self._hand_in(sender, to, letter)
        except smtplib.SMTPNotSupportedError:
            return Answer(False, f"{where} does not offer what is needed: {self._needed()}")
        except smtplib.SMTPResponseException as error:
            return _no(where, error.smtp_code, error.smtp_error)
        except smtplib.SMTPException as error:
            return Answer(False, f"{where} can't be handed mail: {_words(str(error))}")
        except OSError as error:
            return Answer(False, f"{where} can't be handed mail: {why(error)}")
        finally:
            self._smtp.close()

    def _begin(self) -> None:
        """Greet, protect, sign in."""
        self._smtp.greet(self._server.host, self._server.port)
        if self._server.tls is Tls.STARTTLS:
            self._smtp.starttls(context=self._context)
        if self._server.user is not None:
            self._smtp.login(self._server.user, self._server.password or "")

    def _hand_in(self, sender: str, to: str, letter: bytes) -> Answer:
        where = self._server.host
        self._smtp.ehlo_or_helo_if_needed()
        code, said = self._smtp.mail(sender)
        if code != 250:
            return _no(where, code, said)
        code, said = self._smtp.rcpt(to)
        if code not in (250, 251):
            return _no(where, code, said, refused=True)
        code, said = self._smtp.data(letter)
        if code != 250:
            return _no(where, code, said, refused=code >= 500)
        with suppress(OSError):  # it has been taken, whatever comes of the farewell
            self._smtp.quit()
        return Answer(True, f"{where} answered {code} {_words(said)}")

    def _needed(self) -> str:
        wants = ["STARTTLS"] if self._server.tls is Tls.STARTTLS else []
        return " and ".join(wants + (["AUTH"] if self._server.user is not None else []))


class _Smtp(smtplib.SMTP):
    """smtplib's client, which listens to a server for `HEARD` bytes and no longer."""

    def greet(self, host: str, port: int) -> None:
        """Connect. The server has to certify `host`, which smtplib keeps in `__init__` only."""
        self._host = host
        self.connect(host, port)

    def getreply(self) -> tuple[int, bytes]:
        """The next reply."""
        if self.file is None and self.sock is not None:
            self.file = _Ear(self.sock.makefile("rb"))
        return super().getreply()


class _SmtpTls(_Smtp, smtplib.SMTP_SSL):
    """The same, with TLS from the start."""


class _Ear:
    """Reads lines, up to `HEARD` bytes in all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = HEARD

    def readline(self, limit: int) -> bytes:
        """The next line, or `limit` bytes of it."""
        line = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise smtplib.SMTPServerDisconnected("it says too much")
        return line

    def close(self) -> None:
        """Listen no more."""
        self._file.close()


def _no(where: str, code: int, said: bytes | str, *, refused: bool = False) -> Answer:
    return Answer(False, f"{where} answered {code} {_words(said)}", refused=refused)


def _words(said: bytes | str) -> str:
    return plain(said.decode("utf-8", "replace") if isinstance(said, bytes) else said, 200)
