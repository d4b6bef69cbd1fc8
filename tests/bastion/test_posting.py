"""Posting, to a real web server: what is answered, and what no answer can do to us."""

import asyncio
import logging
import ssl
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from bastion.letters import Posted, slack, webhook
from bastion.notices import Answer, Message
from bastion.posting import Post
from tests.bastion.offices import Answer as Answering
from tests.bastion.offices import PostOffice, Proxy, certified, drips, hangs, raw, says
from tests.bastion.tidings import message
from tests.bastion.worlds import NOW

PATH = "/services/T000/B000/very-secret?token=hush"


def form(message: Message, _: datetime) -> Posted:
    """Slack's."""
    return slack(message)


async def answered(answer: Answering, patience: float = 5) -> Answer:
    """What comes of posting to an office that answers so."""
    office = PostOffice()
    office.answer = answer
    async with office.open():
        post = Post(office.url(PATH), form, context=ssl.create_default_context(), patience=patience)
        return await post.send(message(), NOW)


async def test_a_signed_message_arrives_as_it_was_signed() -> None:
    """The receiver's library takes it off the wire."""
    secret = b"0123456789abcdef01234567"
    office = PostOffice()
    async with office.open():
        letter = partial(webhook, secrets=[secret])
        post = Post(office.url("/hook"), letter, context=ssl.create_default_context())
        answer = await post.send(message(), datetime.now(UTC))
    assert answer == Answer(True, "127.0.0.1 answered 200")
    (posted,) = office.letters
    assert posted.path == "/hook"
    assert Webhook(secret).verify(posted.body, posted.headers)["type"] == "request.made"
    assert posted.headers["user-agent"] == "ssh-bastion"
    assert "authorization" not in posted.headers


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
async def test_two_hundred_and_something_is_taken(status: str) -> None:
    """Teams' Workflows answer 202."""
    assert (await answered(says(status, b""))).ok


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        ("400 Bad Request", True),
        ("413 Content Too Large", True),
        ("422 Unprocessable", True),
        ("401 Unauthorized", False),
        ("404 Not Found", False),
        ("410 Gone", False),
        ("429 Too Many Requests", False),
        ("500 Internal Server Error", False),
        ("503 Service Unavailable", False),
    ],
)
async def test_everything_else_is_not(status: str, refused: bool) -> None:
    """What is said of one message is told apart from what is said of the place."""
    answer = await answered(says(status, b"invalid_payload\r\n\x1b[31m"))
    assert answer == Answer(
        False, f"127.0.0.1 answered {status[:3]}: invalid_payload [31m", refused=refused
    )


async def test_a_redirect_is_not_followed() -> None:
    """Whoever answers for a URL may not send us, and a signed message, elsewhere."""
    elsewhere = PostOffice()
    async with elsewhere.open():
        location = f"location: {elsewhere.url('/take')}"
        answer = await answered(says("307 Temporary Redirect", b"", location))
    assert answer.said == ("127.0.0.1 answered 307, a redirect: set the URL that it leads to")
    assert not answer.ok
    assert elsewhere.letters == []


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("30", timedelta(seconds=30)),
        ("999999999999", timedelta(hours=1)),
        ("Mon, 23 Nov 2026 12:02:00 GMT", timedelta(minutes=2)),
        ("Mon, 23 Nov 2020 12:02:00 GMT", timedelta()),
        ("Mon, 23 Nov 2036 12:02:00 -0000", timedelta(hours=1)),
        ("soon", None),
        ("-5", None),
    ],
)
async def test_a_place_may_ask_to_be_left_alone(header: str, wait: timedelta | None) -> None:
    """Seconds or a date, and never for more than an hour."""
    answer = await answered(says("429 Too Many Requests", b"", f"retry-after: {header}"))
    assert answer.wait == wait


@pytest.mark.parametrize(
    "answer",
    [
        hangs,
        raw(b"HTTP/1.1 200 OK\r\n", then=drips(b"x: 1\r\n")),
        raw(b"HTTP/1.1 500 No\r\ncontent-length: 999999\r\n\r\n", then=drips(b".")),
        drips(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["silence", "headers", "body", "early hints"],
)
async def test_the_whole_of_an_answer_has_its_time(answer: Answering) -> None:
    """However it is spun out: not each read, but all of it."""
    before = time.monotonic()
    said = await answered(answer, patience=0.5)
    assert time.monotonic() - before < 3
    assert said == Answer(False, "127.0.0.1 did not answer within 0.5 s")


async def test_what_was_taken_is_taken_whatever_follows() -> None:
    """A body that never comes would make us send it again."""
    answer = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", then=hangs)
    assert (await answered(answer)).ok


async def test_a_huge_answer_is_not_listened_to() -> None:
    """Two kilobytes of it, and then the connection is closed."""
    sent = 0

    async def floods(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 500 No\r\n\r\n")
        while True:
            writer.write(b"flood " * 10_000)
            await writer.drain()
            sent += 60_000

    answer = await answered(floods)
    assert answer.said.startswith("127.0.0.1 answered 500: flood flood")
    assert len(answer.said) < 250
    assert sent < 50_000_000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (raw(b"HELLO\r\n\r\n"), "127.0.0.1 can't be posted to: RemoteProtocolError"),
        (raw(), "127.0.0.1 can't be posted to: RemoteProtocolError"),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000), ""),
    ],
    ids=["garbage", "nothing", "headers"],
)
async def test_what_is_no_answer_is_a_failure(answer: Answering, said: str) -> None:
    """Garbage, nothing, headers without end."""
    heard = await answered(answer)
    assert not heard.ok
    assert heard.said.startswith(said or "127.0.0.1 can't be posted to: ")


async def test_nobody_there() -> None:
    """A sentence with the system's reason."""
    office = PostOffice()
    async with office.open():
        pass
    post = Post(office.url(PATH), form, context=ssl.create_default_context())
    answer = await post.send(message(), NOW)
    assert answer == Answer(False, "127.0.0.1 can't be posted to: Connection refused")


async def test_the_url_is_in_no_sentence_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """A Slack URL is a password, and some servers say the path that they do not know."""
    caplog.set_level(logging.INFO)
    answer = await answered(says("404 Not Found", b"Cannot POST " + PATH.encode()))
    assert answer.said == "127.0.0.1 answered 404: Cannot POST …?…"
    assert "secret" not in caplog.text
    assert "hush" not in caplog.text


async def test_a_certificate_has_to_be_one_that_is_trusted(tmp_path: Path) -> None:
    """Of the system's CAs, or of those in ca_file."""
    tls, office = certified(tmp_path), PostOffice()
    async with office.open(tls.server):
        url = office.url(scheme="https")
        strange = await Post(url, form, context=ssl.create_default_context()).send(message(), NOW)
        known = await Post(url, form, context=tls.client).send(message(), NOW)
    assert not strange.ok
    assert strange.said == (
        "127.0.0.1 can't be posted to: its certificate is not accepted "
        "(unable to get local issuer certificate)"
    )
    assert known.ok
    assert len(office.letters) == 1


async def test_through_a_proxy_it_stays_between_us_and_the_place(tmp_path: Path) -> None:
    """The proxy is asked to connect, and sees no more."""
    tls, office = certified(tmp_path), PostOffice()
    async with office.open(tls.server), Proxy(office.port).open() as proxy:
        post = Post(office.url(scheme="https"), form, context=tls.client, proxy=proxy.url)
        assert (await post.send(message(), NOW)).ok
    assert proxy.asked == f"CONNECT 127.0.0.1:{office.port} HTTP/1.1"
    assert len(office.letters) == 1


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in a variable is not a setting of the bastion's."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert (await answered(says("200 OK"))).ok
