"""`bastion-admin notices` and `notify test`: messages on their way, and trying a channel."""

import asyncio
from collections.abc import Sequence

import click

from bastion.channels import channels
from bastion.delivering import Channel
from bastion.errors import BadInput, NotFound, Unavailable
from bastion.letters import address
from bastion.notices import APPROVERS, REQUESTER, Answer, Message, trial
from bastion.notify import Notify
from bastion.store.outbox import Outbox, Waiting
from cli.arguments import Read
from cli.desk import Desk
from cli.listing import Form, as_json, listed, tell
from cli.shapes import Shape
from cli.verb import Noun, Verb

COLUMNS = ("channel", "to", "what", "made", "tries", "next", "state", "error")

ADDRESS = Read("address", address)


@click.command(
    cls=Verb,
    short_help="Messages on their way to the channels.",
    examples=["[program] notices", "[program] notices --failed --json"],
)
@click.option("--failed", is_flag=True, help="What has failed, whether it is tried again or not.")
@listed
@click.pass_obj
def notices(desk: Desk, *, form: Form, failed: bool) -> None:
    """What waits to be told to the channels of bastion.toml, and what nobody took.

    A message is tried for three days, and forgotten thirty days after that.
    """
    outbox = Outbox(desk.services.store)
    found = outbox.troubled(form.enough) if failed else outbox.waiting(form.enough)
    rows = [(_row(each), _shape(each)) for each in found]
    tell(desk, form, "messages that failed" if failed else "messages that wait", COLUMNS, rows)


@click.group(cls=Noun, short_help="Try a channel.", examples=["[program] notify test ops"])
def notify() -> None:
    """The channels that bastion.toml names with [[notify]]."""


@notify.command(
    cls=Verb,
    short_help="Send a channel a test message now.",
    examples=["[program] notify test ops", "[program] notify test mail --to olga@example.org"],
)
@click.argument("channel")
@click.option("--to", type=ADDRESS, metavar="ADDRESS", help="To whom, where the channel is mail.")
@as_json
@click.pass_obj
def test(desk: Desk, *, channel: str, to: str | None, json: bool) -> None:
    """Send a test message to CHANNEL now, and say what the other side answered.

    It is not kept, and not tried again.
    """
    services = desk.services
    settings = _named(services.settings.notify, channel)
    (made,) = channels(services.home.directory, [settings], services.settings.telling.proxy)
    notice = trial(settings.name, desk.actor.name, services.clock.now())
    messages = [Message.read(notice.body(made.name, each)) for each in _receivers(settings, to)]
    answers = asyncio.run(_sent(made, messages))
    if json:
        desk.output.document([_answer(*each) for each in zip(messages, answers, strict=True)])
    else:
        for answer in answers:
            desk.output.line(f"{answer.said}.")
    lost = sum(not answer.ok for answer in answers)
    if lost:
        raise Unavailable(f"{settings.name} did not take {lost} of {len(answers)}.")


def _named(settings: Sequence[Notify], name: str) -> Notify:
    found = next((each for each in settings if each.name == name), None)
    if found is not None:
        return found
    if not settings:
        raise NotFound("bastion.toml names no channel: add one with [[notify]].")
    known = ", ".join(each.name for each in settings)
    raise NotFound(f"bastion.toml names no channel {name[:80]!a}. Known: {known}.")


def _receivers(settings: Notify, to: str | None) -> list[str | None]:
    if settings.kind != "mail":
        if to is not None:
            raise BadInput(f"{settings.name} is no mail: leave --to out.")
        return [None]
    addresses = [each for each in settings.to if each not in (APPROVERS, REQUESTER)]
    if to is None and not addresses:
        raise BadInput(f"{settings.name} is for people by their roles: say --to ADDRESS.")
    return [to] if to is not None else list(addresses)


async def _sent(channel: Channel, messages: Sequence[Message]) -> list[Answer]:
    return [await channel.way.send(message, message.at) for message in messages]


def _answer(message: Message, answer: Answer) -> Shape:
    return {"id": message.id, "to": message.to, "ok": answer.ok, "said": answer.said}


def _row(each: Waiting) -> tuple[object, ...]:
    body = each.body
    return (
        each.channel,
        body.get("to"),
        body.get("title", each.key),
        each.made_at,
        each.tries,
        None if each.done_at is not None else each.next_at,
        _state(each),
        each.error,
    )


def _state(each: Waiting) -> str:
    if each.given_up:
        return "given up"
    return "failing" if each.error is not None else "waiting"


def _shape(each: Waiting) -> Shape:
    return {
        "id": each.body.get("id"),
        "channel": each.channel,
        "key": each.key,
        "type": each.body.get("type"),
        "title": each.body.get("title"),
        "to": each.body.get("to"),
        "made_at": each.made_at,
        "tries": each.tries,
        "next_at": each.next_at,
        "state": _state(each),
        "done_at": each.done_at,
        "error": each.error,
    }
