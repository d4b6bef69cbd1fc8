"""The channels in the settings: what can be said, and a sentence for what can't."""

import email
import email.policy
import re
import stat
import textwrap
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bastion.channels import channels
from bastion.config import Settings
from bastion.delivering import Channel
from bastion.errors import Misconfigured
from bastion.events import What
from bastion.letters import mail
from bastion.mailing import Mail, Tls
from bastion.notices import Group, Message, Subscription
from bastion.particulars import Awaited
from bastion.posting import Post
from bastion.reminders import Timing
from bastion.tidings import Facts, of_event
from tests.bastion.offices import MailOffice, PostOffice, certified, signs_in
from tests.bastion.tidings import event, message, request
from tests.bastion.worlds import NOW, selectors

FILE = Path("/h/bastion.toml")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

EVERYTHING = """\
[telling]
remind = "5m"
escalate = "30m"
before_end = "10m"
review = "12h"
proxy = "http://proxy.example.org:3128"

[[notify]]
kind = "webhook"
name = "siem"
url = "https://siem.example.org/hooks/bastion"
secret_file = "keys/siem.secret"
ca_file = "/etc/ssl/ours.pem"
events = ["emergencies", "failures"]

[[notify]]
kind = "slack"
name = "ops"
url_file = "keys/slack.url"

[[notify]]
kind = "teams"
name = "pager"
url = "http://localhost:8080/flow"
escalate = true

[[notify]]
kind = "mail"
name = "approvers"
to = ["approvers", "requester", "ops@example.org"]
from = "bastion@example.org"
host = "mail.example.org"
user = "bastion"
password_file = "keys/mail.password"
"""


def read(text: str) -> Settings:
    """The settings in a text."""
    return Settings.parse(text, FILE)


def test_everything_that_can_be_set() -> None:
    """Four kinds, and when time brings a message."""
    told = read(EVERYTHING)
    assert told.telling.timing == Timing(
        remind=timedelta(minutes=5),
        escalate=timedelta(minutes=30),
        before_end=timedelta(minutes=10),
        review=timedelta(hours=12),
    )
    assert told.telling.proxy == "http://proxy.example.org:3128"
    siem, ops, pager, letters = told.notify
    assert siem.events == (Group.EMERGENCIES, Group.FAILURES)
    assert set(ops.events) == set(Group)
    assert pager.escalate
    assert (letters.sender, letters.tls, letters.smtp_port) == (
        "bastion@example.org",
        Tls.STARTTLS,
        587,
    )


def test_nothing_has_to_be_set() -> None:
    """Then nobody is told."""
    assert read("").notify == ()
    assert read("").telling.timing == Timing()


def test_a_url_is_not_shown_with_the_settings() -> None:
    """It is a password for Slack and others."""
    text = 'kind = "slack"\nname = "ops"\nurl = "https://hooks.example.org/T0/very-secret"'
    assert "very-secret" not in repr(read(f"[[notify]]\n{text}"))


SLACK = 'kind = "slack"\nname = "ops"\n'
MAIL = 'kind = "mail"\nname = "m"\nto = ["a@b.org"]\nfrom = "c@b.org"\n'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SLACK, "ops needs a URL: give either url or url_file"),
        (
            f'{SLACK}url = "https://a.org"\nurl_file = "f"',
            "ops needs a URL: give either url or url_file",
        ),
        (
            f'{SLACK}url = "http://a.org/secret"',
            "notify.url: http to a.org can be read on the way: write https.",
        ),
        (
            f'{SLACK}url = "hooks.example.org/secret"',
            "notify.url: that is no URL to post to: write https://HOST/PATH.",
        ),
        (f'{SLACK}url = "https://a.org:99999"', "notify.url: that is no URL to post to"),
        (f'{SLACK}url = "ftp://a.org"', "notify.url: that is no URL to post to"),
        (
            f'{SLACK}url = "https://a.org"\nsecret_file = "f"',
            'secret_file is not for kind = "slack": take it away',
        ),
        (f'{SLACK}url = "https://a.org"\nhost = "m"', 'host is not for kind = "slack"'),
        (f'{MAIL}host = "m"\nurl_file = "f"', 'url_file is not for kind = "mail"'),
        (
            'kind = "webhook"\nname = "w"\nurl = "https://a.org"',
            "w needs a secret to sign with: give secret_file, a file with whsec_ and 24 to 64 ",
        ),
        (MAIL, "m can send no mail without host"),
        (
            'kind = "mail"\nname = "m"\nhost = "h"\nfrom = "a@b.org"',
            "m can send no mail without to",
        ),
        (
            'kind = "mail"\nname = "m"\nhost = "h"\nto = ["a@b.org"]',
            "m can send no mail without from",
        ),
        (f'{MAIL}host = "h"\nuser = "u"', "m needs both user and password_file to sign in"),
        (
            f'{MAIL}host = "h"\ntls = "none"',
            "mail to h can be read on the way: set tls to starttls or implicit",
        ),
        (
            'kind = "mail"\nname = "m"\nhost = "h"\nfrom = "c@b.org"\nto = ["a@b\\nBcc: x@y"]',
            "is not a mail address: write it as in ops@example.org.",
        ),
        (f'{SLACK}url = "https://a.org"\nevents = ["all"]', "'requests', 'decisions', 'ends'"),
        (f'{SLACK}url = "https://a.org"\nevent = []', "is not a setting. Do you mean events?"),
        ('kind = "irc"\nname = "x"', "'webhook', 'slack', 'teams' or 'mail'"),
        ('name = "x"', "notify.kind is missing"),
        ('kind = "slack"\nname = "Ops Team"\nurl = "https://a.org"', "notify.name"),
    ],
)
def test_what_does_not_fit_is_one_sentence(text: str, sentence: str) -> None:
    """With the file and the line, what is wrong and the mend; and never a URL."""
    with pytest.raises(Misconfigured) as refused:
        read(f"[[notify]]\n{text}\n")
    said = str(refused.value)
    assert said.startswith("/h/bastion.toml, line ")
    assert sentence.removesuffix(".") in said
    assert "secret" not in said.replace("secret_file", "").replace("a secret to sign", "")
    assert "\n" not in said


def test_names_are_for_one_channel_each() -> None:
    """Messages are kept by the name of their channel."""
    one = f'[[notify]]\n{SLACK}url = "https://a.org"\n'
    with pytest.raises(Misconfigured, match="two channels are called ops"):
        read(one + one)


def test_reminding_comes_before_escalating() -> None:
    """Also against the default of the other."""
    with pytest.raises(Misconfigured, match="escalate has to be longer than remind"):
        read('[telling]\nremind = "2h"\n')
    with pytest.raises(Misconfigured, match="no proxy"):
        read('[telling]\nproxy = "socks5://x"\n')


# Made ready


def made(home: Path, text: str) -> list[Channel]:
    """The channels of a home with these settings."""
    settings = read(text)
    return channels(home, settings.notify, settings.telling.proxy)


def secret(file: Path, content: str, mode: int = 0o600) -> Path:
    """A file with a secret."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    file.chmod(mode)
    return file


def test_secrets_come_from_files_below_the_home(tmp_path: Path) -> None:
    """A URL, a password, a webhook's secret and the one that takes its place."""
    tls = certified(tmp_path)
    secret(tmp_path / "keys/siem.secret", f"{SECRET}\n{SECRET}\n")
    secret(tmp_path / "keys/slack.url", "https://hooks.example.org/T0/very-secret\n")
    secret(tmp_path / "keys/mail.password", "s3cret\n")
    text = EVERYTHING.replace("/etc/ssl/ours.pem", str(tls.ca_file))
    siem, ops, pager, letters = made(tmp_path, text)
    assert siem.subscription == Subscription("siem", frozenset({Group.EMERGENCIES, Group.FAILURES}))
    assert pager.subscription.escalate
    assert letters.subscription.to == ("approvers", "requester", "ops@example.org")
    assert isinstance(ops.way, Post)
    assert urlsplit(ops.way._url).path == "/T0/very-secret"
    assert ops.way._proxy == "http://proxy.example.org:3128"
    assert isinstance(pager.way, Post)
    assert pager.way._proxy is None
    assert isinstance(letters.way, Mail)
    assert letters.way._server.password == "s3cret"


URL_FILE = f'[[notify]]\n{SLACK}url_file = "slack.url"\n'


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_secret_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that mends it."""
    file = secret(tmp_path / "slack.url", "https://a.org/x", mode)
    with pytest.raises(Misconfigured) as refused:
        made(tmp_path, URL_FILE)
    assert str(refused.value) == (f"Others may read {file} (mode {mode:04o}): chmod 600 {file}")
    file.chmod(stat.S_IRUSR)
    assert len(made(tmp_path, URL_FILE)) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "has to have one secret in it"),
        ("ü", "has to have one secret in it"),
        ("x" * 5000, "has to have one secret in it"),
        ("http://a.org/very-secret", "http to a.org can be read on the way"),
        ("very-secret", "That is no URL to post to"),
    ],
)
def test_a_file_that_says_something_else(tmp_path: Path, content: str, sentence: str) -> None:
    """Named, and nothing of what stands in it."""
    secret(tmp_path / "slack.url", content)
    with pytest.raises(Misconfigured) as refused:
        made(tmp_path, URL_FILE)
    assert sentence in str(refused.value)
    assert str(tmp_path / "slack.url") in str(refused.value)
    assert "very-secret" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A sentence with the system's reason, for a secret and for CAs."""
    with pytest.raises(Misconfigured, match=r"slack\.url can't be read: No such file"):
        made(tmp_path, URL_FILE)
    text = f'[[notify]]\n{SLACK}url = "https://a.org"\nca_file = "ca.pem"\n'
    with pytest.raises(Misconfigured, match=r"ca\.pem can't be used as ca_file of ops: No such"):
        made(tmp_path, text)
    secret(tmp_path / "ca.pem", "no certificate")
    with pytest.raises(Misconfigured, match="it has no certificate in PEM"):
        made(tmp_path, text)


def test_webhook_secrets_are_few_and_whole(tmp_path: Path) -> None:
    """Two while one takes the other's place; not a heap."""
    text = '[[notify]]\nkind = "webhook"\nname = "w"\nurl = "https://a.org"\nsecret_file = "s"\n'
    secret(tmp_path / "s", f"{SECRET} " * 5)
    with pytest.raises(Misconfigured, match="At most 4 webhook secrets"):
        made(tmp_path, text)
    secret(tmp_path / "s", "whsec_tooshort")
    with pytest.raises(Misconfigured, match="That is no webhook secret") as refused:
        made(tmp_path, text)
    assert "tooshort" not in str(refused.value)


async def test_from_the_settings_to_what_arrives(tmp_path: Path) -> None:
    """A webhook over TLS of our own CA, and a mail with a password, as somebody would set them."""
    tls = certified(tmp_path)
    secret(tmp_path / "keys/siem.secret", SECRET)
    secret(tmp_path / "keys/mail.password", "s3cret")
    post = PostOffice()
    settings = {
        "tls_context": tls.server,
        "require_starttls": True,
        "auth_required": True,
        "authenticator": signs_in(b"bastion", b"s3cret"),
    }
    async with post.open(tls.server), MailOffice().open(**settings) as office:
        text = f"""
[[notify]]
kind = "webhook"
name = "siem"
url = "{post.url("/hook", "https")}"
secret_file = "keys/siem.secret"
ca_file = "{tls.ca_file}"

[[notify]]
kind = "mail"
name = "approvers"
to = ["approvers"]
from = "bastion@example.org"
host = "127.0.0.1"
port = {office.port}
user = "bastion"
password_file = "keys/mail.password"
ca_file = "{tls.ca_file}"
"""
        siem, letters = made(tmp_path, text)
        assert (await siem.way.send(message(), NOW)).ok
        assert (await letters.way.send(message(to="bob@example.org"), NOW)).ok
    assert post.letters[0].headers["webhook-signature"].startswith("v1,")
    assert office.letters[0].rcpt_tos == ["bob@example.org"]


# The document

DOCUMENT = (Path(__file__).parents[2] / "docs" / "notifications.md").read_text()


def tables() -> list[str]:
    """The settings in the document, a table each."""
    parts = (textwrap.dedent(part) for part in re.split(r"\n\s*\n", DOCUMENT))
    return [part for part in parts if part.startswith("[")]


def test_the_settings_in_the_document_can_be_set() -> None:
    """Each sample is taken as it stands; the defaults that it shows are the defaults."""
    kinds = [read(each).notify[0].kind for each in tables() if each.startswith("[[notify]]")]
    assert kinds == ["slack", "mail", "webhook"]
    (telling,) = (each for each in tables() if each.startswith("[telling]"))
    assert read(telling).telling.timing == Timing()


def test_the_message_in_the_document_is_what_is_sent() -> None:
    """As a mail program shows it."""
    asked = request(hosts=selectors("web-1"), ticket="OPS-17")
    facts = Facts({12: asked}, awaited={12: Awaited(("one of @leads",), ("bob",))})
    notice = of_event(event(What.REQUEST_MADE, request=12), facts)
    assert notice is not None
    body = notice.body("mail", "bob@example.org")
    sent = mail(Message.read(body), "bastion@example.org", NOW)
    shown = email.message_from_bytes(sent, policy=email.policy.default)
    assert isinstance(shown, email.message.EmailMessage)
    assert textwrap.indent(shown.get_content().replace("\r\n", "\n"), "    ") in DOCUMENT
