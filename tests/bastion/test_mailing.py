"""Mailing, to a real mail server: what arrives, and what no server can do to us."""

import asyncio
import email
import email.policy
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bastion.mailing import Mail, MailServer, Tls
from bastion.notices import Answer
from tests.bastion.offices import Certified, MailOffice, certified, signs_in
from tests.bastion.tidings import message
from tests.bastion.worlds import NOW

SENDER = "bastion@example.org"
BOB = message(to="bob@example.org")


@pytest.fixture
def tls(tmp_path: Path) -> Certified:
    """A certificate for 127.0.0.1."""
    return certified(tmp_path)


def way(port: int, tls: Tls = Tls.NONE, **given: Any) -> Mail:  # noqa: ANN401 (any setting)
    """The way to a mail server on loopback."""
    context = given.pop("context", None) or ssl.create_default_context()
    times = {name: given.pop(name) for name in ("patience", "whole") if name in given}
    return Mail(MailServer("127.0.0.1", port, tls, **given), SENDER, context, **times)


@asynccontextmanager
async def scripted(
    play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server that does what `play` does; its port."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await play(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)


async def test_a_letter_arrives() -> None:
    """At the one address, from the sender; what the server says last is told."""
    async with MailOffice().open() as office:
        answer = await way(office.port).send(BOB, NOW)
    assert answer == Answer(True, "127.0.0.1 answered 250 2.0.0 queued as 42")
    (letter,) = office.letters
    assert (letter.mail_from, letter.rcpt_tos) == (SENDER, ["bob@example.org"])
    assert isinstance(letter.content, bytes)
    read = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert read["Subject"] == "[bastion] R-12: alice asks for prod-host as deploy for 2h"
    assert read["To"] == "bob@example.org"
    assert "ssh bastion approve R-12" in str(read.get_payload())


async def test_what_was_typed_ends_no_letter_and_begins_no_other() -> None:
    """A lone dot on a line, and a whole conversation within a field."""
    hostile = "\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n"
    sent = message(to="bob@example.org", title=hostile, fields=((".", hostile), ("why", ".")))
    async with MailOffice().open() as office:
        answer = await way(office.port).send(sent, NOW)
    assert answer.ok
    assert [letter.rcpt_tos for letter in office.letters] == [["bob@example.org"]]


async def test_starttls_and_signing_in(tls: Certified) -> None:
    """The password goes through TLS, and is in no sentence."""
    settings = {
        "tls_context": tls.server,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": signs_in(b"bastion", b"s3cret"),
    }
    async with MailOffice().open(**settings) as office:
        account = {"user": "bastion", "password": "s3cret"}
        known = await way(office.port, Tls.STARTTLS, context=tls.client, **account).send(BOB, NOW)
        wrong = {"user": "bastion", "password": "wr0ng"}
        other = await way(office.port, Tls.STARTTLS, context=tls.client, **wrong).send(BOB, NOW)
        strange = await way(office.port, Tls.STARTTLS, **account).send(BOB, NOW)
        bare = await way(office.port, Tls.STARTTLS, context=tls.client).send(BOB, NOW)
    assert known.ok
    assert len(office.letters) == 1
    assert other.said == "127.0.0.1 answered 535 5.7.8 Authentication credentials invalid"
    assert strange.said == (
        "127.0.0.1 can't be handed mail: its certificate is not accepted "
        "(unable to get local issuer certificate)"
    )
    assert bare.said == "127.0.0.1 answered 530 5.7.0 Authentication required"
    assert [answer.refused for answer in (other, strange, bare)] == [False] * 3
    assert "s3cret" not in repr(MailServer("h", 1, Tls.NONE, "u", "s3cret"))


async def test_tls_from_the_start(tls: Certified) -> None:
    """As on port 465."""
    async with MailOffice().open(implicit=tls.server) as office:
        answer = await way(office.port, Tls.IMPLICIT, context=tls.client).send(BOB, NOW)
        plain = await way(office.port, Tls.IMPLICIT).send(BOB, NOW)
    assert answer.ok
    assert "certificate is not accepted" in plain.said
    assert len(office.letters) == 1


async def test_without_tls_where_it_is_wanted_nothing_is_sent(tls: Certified) -> None:
    """Somebody in between could have taken the offer away."""
    async with MailOffice().open() as office:
        answer = await way(office.port, Tls.STARTTLS, context=tls.client).send(BOB, NOW)
        signing = way(office.port, user="bastion", password="s3cret")
        nobody = await signing.send(BOB, NOW)
    assert answer.said == "127.0.0.1 does not offer what is needed: STARTTLS"
    assert nobody.said == "127.0.0.1 does not offer what is needed: AUTH"
    assert office.letters == []


@pytest.mark.parametrize(
    ("refusal", "at_data", "said", "refused"),
    [
        ("550 5.1.1 no such user", "", "answered 550 5.1.1 no such user", True),
        ("450 4.2.0 greylisted", "", "answered 450 4.2.0 greylisted", True),
        ("", "554 5.7.1 spam", "answered 554 5.7.1 spam", True),
        ("", "451 4.3.0 later", "answered 451 4.3.0 later", False),
    ],
)
async def test_what_is_said_of_one_letter_is_told_apart(
    refusal: str, at_data: str, said: str, refused: bool
) -> None:
    """An address that is gone is no reason to leave the server alone."""
    office = MailOffice()
    office.refuse = {"bob@example.org": refusal} if refusal else {}
    office.at_data = at_data or office.at_data
    async with office.open():
        answer = await way(office.port).send(BOB, NOW)
    assert answer == Answer(False, f"127.0.0.1 {said}", refused=refused)


async def test_an_address_that_is_none_reaches_no_server() -> None:
    """It is refused here, in a sentence."""
    async with MailOffice().open() as office:
        evil = message(to="bob@example.org>\r\nRCPT TO:<eve@example.org")
        answer = await way(office.port).send(evil, NOW)
    assert answer.refused
    assert "is not a mail address" in answer.said
    assert office.letters == []


async def test_a_server_that_never_greets() -> None:
    """Each step has its time."""

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as port:
        answer = await way(port, patience=0.2).send(BOB, NOW)
    assert answer.said == (
        "127.0.0.1 can't be handed mail: Connection unexpectedly closed: timed out"
    )


async def test_a_server_that_drips_has_its_time_for_all_of_it() -> None:
    """One byte now and then keeps every step alive; the whole has an end, and so has the thread."""

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.05)

    before = time.monotonic()
    async with scripted(drip) as port:
        mail = way(port, patience=5, whole=0.4)
        answer = await mail.send(BOB, NOW)
        assert answer == Answer(False, "127.0.0.1 did not finish within 0.4 s")
        for thread in threading.enumerate():
            if thread.name == "mail":
                await asyncio.to_thread(thread.join, 5)
                assert not thread.is_alive()
    assert time.monotonic() - before < 4


async def test_while_one_letter_hangs_no_other_is_begun() -> None:
    """Threads do not pile up behind a server that does not let go."""
    gate = threading.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(silent) as port:
        mail = way(port, whole=0.1)
        mail._thread = threading.Thread(target=gate.wait)
        mail._thread.start()
        answer = await mail.send(BOB, NOW)
        gate.set()
        await asyncio.to_thread(mail._thread.join)
        assert answer.said == "127.0.0.1 has not finished with the one before"
        assert (await mail.send(BOB, NOW)).said == "127.0.0.1 did not finish within 0.1 s"


async def test_a_server_that_talks_without_end_is_not_listened_to() -> None:
    """64 KiB, and the conversation is over."""
    said = 0

    async def chatter(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal said
        while True:
            writer.write(b"220-welcome to a place with much to say\r\n" * 100)
            await writer.drain()
            said += 4100

    async with scripted(chatter) as port:
        answer = await way(port).send(BOB, NOW)
    assert answer.said.endswith("it says too much")
    assert said < 20_000_000


async def test_a_letter_that_was_taken_is_taken_whatever_the_farewell() -> None:
    """The server hangs up right after it has said that it has it."""

    async def curt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in (b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go on"):
            writer.write(said + b"\r\n")
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 taken\r\n")
        await writer.drain()
        writer.close()

    async with scripted(curt) as port:
        assert await way(port).send(BOB, NOW) == Answer(True, "127.0.0.1 answered 250 taken")


async def test_nobody_there() -> None:
    """A sentence with the system's reason."""
    async with MailOffice().open() as office:
        pass
    answer = await way(office.port).send(BOB, NOW)
    assert answer == Answer(False, "127.0.0.1 can't be handed mail: Connection refused")
