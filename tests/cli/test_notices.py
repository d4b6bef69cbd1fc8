"""`notices` and `notify test`: what waits, what failed, and whether a channel works."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import click
import pytest

from bastion.actor import Actor
from bastion.notices import Draft, Group, Notice
from bastion.store.outbox import Outbox
from cli import door
from cli.desk import Desk
from cli.notices import notices, notify
from cli.output import Output
from cli.verb import Noun, run
from tests.bastion.offices import MailOffice, PostOffice, says
from tests.cli.desks import Installation, Said, Words

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def say(admin: Installation) -> Callable[..., Said]:
    """The two verbs, as `bastion-admin` has them."""
    group = Noun("bastion-admin", commands=[notices, notify])

    def typed(*words: str, status: int = 0) -> Said:
        heard = Words()
        output = Output(heard.out.append, heard.err.append)
        desk = Desk("bastion-admin", output, Actor("os:tester"), door.entered)
        desk.directory = admin.home.directory
        said = heard.said(run(group, list(words), desk))
        assert said.status == status, said
        return said

    return typed


@contextmanager
def serving(office: AbstractAsyncContextManager[object]) -> Iterator[None]:
    """A server in a loop and thread of its own: a verb has the loop of this one."""
    ready, over = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with office:
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def settings(admin: Installation, text: str) -> None:
    """Add to the settings."""
    with admin.home.settings.open("a") as file:
        file.write(text)


def slack(port: int) -> str:
    """A channel called ops, on loopback."""
    return f'\n[[notify]]\nkind = "slack"\nname = "ops"\nurl = "http://127.0.0.1:{port}/T0/hush"\n'


def wrote(admin: Installation, *keys: str) -> None:
    """Messages for ops with these keys."""
    made = [Notice(key, "host.added", Group.ENDS, AT, f"about {key}", ()) for key in keys]
    with admin.services() as services:
        drafts = [Draft("ops", each.key, each.body("ops")) for each in made]
        Outbox(services.store).keep(drafts, AT)


def test_what_waits_and_what_failed(admin: Installation, say: Callable[..., Said]) -> None:
    """With how often it was tried, when it is next, and the last answer."""
    assert say("notices").err == "No messages that wait.\n"
    wrote(admin, "E-1", "E-2", "E-3")
    with admin.services() as services:
        outbox = Outbox(services.store)
        first, second, _ = outbox.next_of("ops")
        outbox.failed(second.id, "h answered 500: \x1b[31m", 3, AT + timedelta(seconds=40))
        outbox.give_up(AT + timedelta(seconds=1), AT)
        outbox.keep([Draft("ops", "E-4", first.body)], AT)
    waiting = say("notices", "--json").json
    assert [each["key"] for each in waiting] == ["E-4"]
    assert waiting[0]["state"] == "waiting"
    assert waiting[0]["id"].startswith("msg_")
    failed = say("notices", "--failed", "--json").json
    assert [each["key"] for each in failed] == ["E-3", "E-2", "E-1"]
    assert {each["state"] for each in failed} == {"given up"}
    assert failed[1]["tries"] == 3
    table = say("notices", "--failed").out
    assert "about E-2" in table
    assert "h answered 500" in table
    assert "\x1b" not in table
    assert say("notices", "--failed", "--limit", "1").out.count("about") == 1


def test_a_channel_that_works(admin: Installation, say: Callable[..., Said]) -> None:
    """The message arrives now, and nothing is kept."""
    office = PostOffice()
    with serving(office.open()):
        settings(admin, slack(office.port))
        said = say("notify", "test", "ops")
        assert say("notify", "test", "ops", "--json").json[0]["ok"]
    assert said.out == "127.0.0.1 answered 200.\n"
    assert b"A test message for the channel ops: nothing has happened" in office.letters[0].body
    assert len(office.letters) == 2
    assert say("notices", "--json").json == []


def test_a_channel_that_does_not(admin: Installation, say: Callable[..., Said]) -> None:
    """What the other side said, and exit status 1; the URL is in no word of it."""
    office = PostOffice()
    office.answer = says("404 Not Found", b"no_service")
    with serving(office.open()):
        settings(admin, slack(office.port))
        said = say("notify", "test", "ops", status=1)
    assert said.out == "127.0.0.1 answered 404: no_service.\n"
    assert said.err == "bastion-admin: ops did not take 1 of 1.\n"
    gone = say("notify", "test", "ops", status=1)
    assert gone.out == "127.0.0.1 can't be posted to: Connection refused.\n"
    assert "hush" not in said.out + said.err + gone.out + gone.err


@pytest.mark.parametrize(
    ("to", "words", "receivers"),
    [
        ('"ops@example.org", "approvers"', (), ["ops@example.org"]),
        ('"approvers"', ("--to", "olga@example.org"), ["olga@example.org"]),
    ],
)
def test_mail_is_tried_with_an_address(
    admin: Installation,
    say: Callable[..., Said],
    to: str,
    words: Sequence[str],
    receivers: Sequence[str],
) -> None:
    """Those in the settings, or the one that is said: nobody in a role is bothered."""
    office = MailOffice()
    with serving(office.open()):
        settings(admin, mail(office.port, to))
        said = say("notify", "test", "mail", *words)
    assert said.out == "127.0.0.1 answered 250 2.0.0 queued as 42.\n"
    assert [letter.rcpt_tos for letter in office.letters] == [list(receivers)]


def mail(port: int, to: str) -> str:
    """A channel called mail, on loopback."""
    return (
        f'\n[[notify]]\nkind = "mail"\nname = "mail"\nto = [{to}]\nhost = "127.0.0.1"\n'
        f'port = {port}\ntls = "none"\nfrom = "bastion@example.org"\n'
    )


def test_what_can_not_be_tried(admin: Installation, say: Callable[..., Said]) -> None:
    """A sentence with the mend."""
    nothing = say("notify", "test", "ops", status=1)
    assert "bastion.toml names no channel: add one with [[notify]]." in nothing.err
    settings(admin, slack(1) + mail(1, '"approvers"'))
    assert "Known: ops, mail." in say("notify", "test", "opps", status=1).err
    to = say("notify", "test", "ops", "--to", "a@b.org", status=2)
    assert "ops is no mail: leave --to out." in to.err
    assert "say --to ADDRESS" in say("notify", "test", "mail", status=2).err
    assert "is not a mail address" in say("notify", "test", "mail", "--to", "x", status=2).err


@pytest.mark.parametrize("command", [notices, notify, notify.commands["test"]])
def test_every_help_has_an_example(command: click.Command) -> None:
    """As for every other verb."""
    assert getattr(command, "examples", ())
