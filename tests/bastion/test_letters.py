"""What messages look like on their way; judged by others' libraries where there are any."""

import email
import email.policy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from bastion.errors import BadInput
from bastion.letters import Posted, address, mail, slack, teams, webhook, webhook_secret
from bastion.notices import plain, quoted
from tests.bastion.tidings import message
from tests.bastion.worlds import NOW

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

HOSTILE = (
    "<!channel> <https://evil.example|approve here> [click](https://evil.example) "
    "*b* _i_ `c` ```x``` & \r\nBcc: eve@example.org\r\n\r\nbody"
)


def body(posted: Posted) -> Any:  # noqa: ANN401 (any document)
    """The JSON that is posted."""
    assert posted.headers["content-type"] == "application/json"
    return json.loads(posted.body)


# Webhooks


def test_standardwebhooks_takes_our_signature() -> None:
    """The outside judge verifies what we sign, and reads the shape of its specification."""
    now = datetime.now(UTC)
    posted = webhook(message(), now, [webhook_secret(SECRET)])
    read = Webhook(SECRET).verify(posted.body, dict(posted.headers))
    assert read == {
        "type": "request.made",
        "timestamp": "2026-11-23T12:00:00Z",
        "data": {"title": "R-12"},
    }
    changed = posted.body.replace(b"R-12", b"R-13")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(changed, dict(posted.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(posted.body, dict(posted.headers))


def test_a_webhook_is_the_same_at_every_try_but_for_its_time() -> None:
    """The id lets the receiver hear it once; the timestamp is that of the try."""
    first = webhook(message(), NOW, [b"x" * 24]).headers
    again = webhook(message(), NOW + timedelta(hours=1), [b"x" * 24]).headers
    assert first["webhook-id"] == again["webhook-id"] == "msg_0123456789abcdef"
    assert int(again["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
    assert first["webhook-signature"] != again["webhook-signature"]


def test_while_a_secret_is_exchanged_both_verify() -> None:
    """Signatures of both stand in the header, with a blank between."""
    now = datetime.now(UTC)
    posted = webhook(message(), now, [webhook_secret(SECRET), webhook_secret(OTHER)])
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(posted.body, dict(posted.headers))


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ="]
)
def test_what_is_no_secret_is_refused_without_showing_it(text: str) -> None:
    """A sentence about a secret must not have it in it."""
    with pytest.raises(BadInput) as refused:
        webhook_secret(text)
    assert "c2hvcnQ" not in str(refused.value)
    assert "MfKQ9" not in str(refused.value)


# Slack and Teams


def test_slack_gets_plain_blocks_and_an_escaped_text() -> None:
    """The commands are the only markup, and nothing that was typed is in them."""
    sent = body(slack(message(fields=(("who", "alice"), ("why", quoted(HOSTILE))))))
    header, section, lines = sent["blocks"]
    assert header["text"]["type"] == "plain_text"
    assert header["text"]["text"].startswith("R-12: alice asks")
    assert section["text"]["type"] == "plain_text"
    assert section["text"]["emoji"] is False
    assert "why: <!channel>" in section["text"]["text"]
    assert lines["text"] == {
        "type": "mrkdwn",
        "text": "`ssh bastion approve R-12`\n`ssh bastion deny R-12 --reason WORDS`",
    }
    assert "<" not in sent["text"]
    assert "&lt;!channel&gt;" in sent["text"]
    assert (sent["unfurl_links"], sent["unfurl_media"]) == (False, False)


@given(st.text(max_size=4000))
def test_nothing_that_was_typed_is_markup_in_slack(text: str) -> None:
    """No `<`, `>` or bare `&` gets through, and no block is longer than Slack takes."""
    sent = body(slack(message(title=plain(text), fields=(("why", quoted(text)),) * 5)))
    without = sent["text"].replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert not set(without) & set("<>&")
    assert all(len(block["text"]["text"]) <= 3000 for block in sent["blocks"])
    assert len(sent["blocks"][0]["text"]["text"]) <= 150


def test_teams_gets_a_card_of_runs_that_know_no_markdown() -> None:
    """In the envelope that Workflows take; a TextBlock would make a link of what was typed."""
    sent = body(teams(message(fields=(("why", quoted(HOSTILE)),), urgent=True)))
    (attachment,) = sent["attachments"]
    assert sent["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert runs[0]["color"] == "Attention"
    assert "ssh bastion approve R-12" in [run["text"] for run in runs]


def test_the_longest_message_fits_where_it_is_sent() -> None:
    """Teams takes 28 KB."""
    fields = tuple((f"field {n}", plain("x" * 5000)) for n in range(14))
    assert len(teams(message(fields=fields)).body) < 28 * 1024


# Mail


def parsed(raw: bytes) -> email.message.EmailMessage:
    """The mail as a mail program reads it."""
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(read, email.message.EmailMessage)
    return read


def test_mail_as_a_mail_program_reads_it() -> None:
    """Subject, a stable Message-ID, and no robot is to answer."""
    sent = parsed(mail(message(to="bob@example.org"), "bastion@example.net", NOW))
    assert sent["From"] == "bastion <bastion@example.net>"
    assert sent["To"] == "bob@example.org"
    assert sent["Subject"] == "[bastion] R-12: alice asks for prod-host as deploy for 2h"
    assert sent["Message-ID"] == "<msg_0123456789abcdef@example.net>"
    assert sent["Auto-Submitted"] == "auto-generated"
    assert sent["Importance"] is None
    assert sent.get_content().replace("\r\n", "\n") == (
        "R-12: alice asks for prod-host as deploy for 2h\n"
        "\n"
        "who: alice\n"
        "why: disk full\n"
        "\n"
        "    ssh bastion approve R-12\n"
        "    ssh bastion deny R-12 --reason WORDS\n"
    )


@given(st.text(max_size=400), st.text(max_size=3000))
def test_nothing_that_was_typed_ends_a_header_or_adds_one(title: str, why: str) -> None:
    """Line ends become blanks, everything else is encoded; lines stay as short as SMTP wants."""
    letter = message(
        to="bob@example.org", title=f"R-1 {plain(title)}", fields=(("why", quoted(why)),)
    )
    raw = mail(letter, "bastion@example.org", NOW)
    sent = parsed(raw)
    assert sent.keys() == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "Content-Type",
        "Content-Transfer-Encoding",
        "MIME-Version",
    ]
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert b"\n" not in raw.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bob",
        "bob@",
        "@example.org",
        "bob@example.org\nBcc: eve@example.org",
        "bob@example.org,eve@example.org",
        "Bob <bob@example.org>",
        "a..b@example.org",
        ".a@example.org",
        "bob@-example.org",
        "bob@example..org",
        "böb@example.org",
    ],
)
def test_what_is_no_address_goes_into_no_header(text: str) -> None:
    """Neither as a sender nor as a receiver."""
    with pytest.raises(BadInput, match="is not a mail address"):
        address(text)
    with pytest.raises(BadInput):
        mail(message(to=text), "bastion@example.org", NOW)
