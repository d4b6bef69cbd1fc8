"""The target's side of a session keeps the order in which things came."""

from typing import cast

import asyncssh

from bastion.farside import MOST_UNTOLD, FarSide
from bastion.wire.packets import Turn


class Near:
    """Notes what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def show(self, data: bytes, datatype: int | None) -> None:
        self.told.append((data, datatype))

    def far_eof(self) -> None:
        self.told.append("eof")

    def far_exit(self, status: int) -> None:
        self.told.append(status)

    def far_signal(self, name: str, core: bool, message: str, lang: str) -> None:
        self.told.append(name)

    def far_xon_xoff(self, client_can_do: bool) -> None:
        self.told.append(client_can_do)

    def far_eow(self) -> None:
        self.told.append("eow")

    def far_lost(self, error: Exception | None) -> None:
        self.told.append("lost")

    def pace(self) -> None:
        self.told.append("pace")


class Channel:
    """A channel of which only this is asked."""

    behind = False
    paused = False

    @property
    def reads(self) -> bool:
        return not self.paused

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def sides() -> tuple[Near, FarSide, Channel, Turn]:
    near, turn, channel = Near(), Turn(), Channel()
    far = FarSide(near, turn)
    far.connection_made(cast("asyncssh.SSHClientChannel[bytes]", channel))
    return near, far, channel, turn


async def test_the_chunks_of_one_turn_are_shown_as_one() -> None:
    """And what follows them comes after them."""
    near, far, _, turn = sides()
    with turn:
        far.data_received(b"a", None)
        far.data_received(b"b", None)
        assert near.told == []
    far.exit_status_received(0)
    assert near.told == [(b"ab", None), 0]


async def test_stderr_keeps_its_place_among_stdout() -> None:
    """A change of stream ends what was gathered."""
    near, far, _, turn = sides()
    with turn:
        far.data_received(b"out", None)
        far.data_received(b"err", 1)
        far.data_received(b"more", None)
        far.exit_signal_received("TERM", False, "", "")
    assert near.told == [(b"out", None), (b"err", 1), (b"more", None), "TERM"]


async def test_an_exit_status_waits_for_output_that_is_still_queued() -> None:
    """The client was slow: the recording ends with the exit, not before its last words."""
    near, far, channel, _ = sides()
    channel.behind = True
    far.exit_status_received(3)
    assert near.told == []
    channel.behind = False
    far.data_received(b"last words", None)
    far.eof_received()
    assert near.told == [(b"last words", None), 3, "eof"]


async def test_an_exit_status_is_not_lost_with_the_channel() -> None:
    """Where no end of file comes, it is told at the close."""
    near, far, channel, _ = sides()
    channel.behind = True
    far.exit_status_received(3)
    far.connection_lost(None)
    assert near.told == [3, "lost"]


async def test_nothing_is_read_or_told_while_it_is_frozen() -> None:
    """What came meanwhile is told in its order when it goes on, and the close last."""
    near, far, channel, _ = sides()
    far.freeze()
    assert channel.paused
    far.eow_received()
    far.eof_received()
    far.exit_status_received(3)
    far.connection_lost(None)
    assert near.told == []
    far.go_on()
    assert near.told == ["eow", "eof", 3, "lost"]


async def test_a_slow_client_and_a_freeze_both_have_to_end() -> None:
    """Before that, nothing more is read."""
    _, far, channel, _ = sides()
    far.freeze()
    far.pause()
    far.go_on()
    assert channel.paused
    far.freeze()
    far.resume()
    assert channel.paused
    far.go_on()
    assert channel.reads


async def test_a_frozen_target_that_talks_without_end_costs_no_memory() -> None:
    """So much is kept of what it has to say; the end of it always is."""
    near, far, _, _ = sides()
    far.freeze()
    for status in range(1000):
        far.exit_status_received(status)
    far.connection_lost(None)
    far.go_on()
    assert near.told == [*range(MOST_UNTOLD), "lost"]
