"""What asyncssh's constructors set stands in slots."""

import asyncssh

from bastion.wire.channels import SessionChannel
from bastion.wire.connections import ServerConnection
from bastion.wire.slots import slots
from tests.bastion.wire.peers import connected, serving


class Made:
    """As asyncssh's classes are."""

    also = 1

    def __init__(self) -> None:
        self.one, self.two = 1, 2
        self.also = 3


class Slotted(Made):
    """As ours are."""

    __slots__ = slots(Made)


class Below(Slotted):
    """With a constructor of its own, and of that only what is new."""

    __slots__ = slots(Made, Slotted)


def test_what_has_no_default_has_a_slot() -> None:
    """A slot in front of a default would hide it."""
    assert Slotted.__slots__ == ("one", "two")
    assert Below.__slots__ == ()


def test_the_rest_is_kept_as_ever() -> None:
    """In a dictionary, which is small then."""
    made = Slotted()
    made.more = 4  # type: ignore[attr-defined]
    assert (made.one, made.two) == (1, 2)
    assert vars(made) == {"also": 3, "more": 4}


async def test_what_a_connection_has_stands_in_slots() -> None:
    """Of a connection and of its channel, a dictionary keeps no more than objects of one class can
    share the keys of (30)."""
    kept: list[object] = []

    class Session(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            kept.extend((chan, chan.get_extra_info("connection")))

        def shell_requested(self) -> bool:
            return True

    async with serving(Session) as port, connected(port) as connection:
        await connection.create_process(encoding=None)
    assert [type(each) for each in kept] == [SessionChannel, ServerConnection]
    assert [len(vars(each)) <= 30 for each in kept] == [True, True], [*map(vars, kept)]
