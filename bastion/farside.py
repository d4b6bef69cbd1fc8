"""The target's side of one session channel, told apart from the client's side (`relay`).

What the target sends is kept until the end of the turn, so that the chunks of one read become one
event and one write, and is shown in order before anything that followed it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

import asyncssh

from bastion.latch import Latch
from bastion.wire.channels import UpstreamChannel
from bastion.wire.packets import Turn


class NearSide(Protocol):
    """What the far side tells: each of these comes after all data before it was shown."""

    def show(self, data: bytes, datatype: int | None) -> None:
        """The target wrote `data`, to stdout or (datatype 1) to stderr."""

    def far_eof(self) -> None:
        """It will write no more."""

    def far_exit(self, status: int) -> None:
        """The program exited."""

    def far_signal(self, name: str, core: bool, message: str, lang: str) -> None:
        """The program was ended by a signal."""

    def far_xon_xoff(self, client_can_do: bool) -> None:
        """Whether the client may stop output by itself."""

    def far_eow(self) -> None:
        """The program reads no more."""

    def far_lost(self, error: Exception | None) -> None:
        """The channel is gone; `error` where its connection broke."""

    def pace(self) -> None:
        """The target takes no more for now, or takes more again (`FarSide.blocked`)."""


MOST_UNTOLD = 32
"""What is told later, when it can be told in its order; a target that has more to say is not
believed."""


class FarSide(asyncssh.SSHClientSession[bytes]):
    """The session at the target. Writing to it once it is gone does nothing.

    While it is frozen, nothing is read from it, and nothing is told of it.
    """

    def __init__(self, near: NearSide, turn: Turn):
        self._near = near
        self._turn = turn
        self._chan: UpstreamChannel | None = None
        self._chunks: list[bytes] = []
        self._datatype: int | None = None
        self._paused = False
        self._frozen = False
        self._untold: list[Callable[[], None]] = []
        self._gone = Latch()
        self.blocked = False

    # From the target

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; nothing has been started on it yet."""
        self._chan = cast(UpstreamChannel, chan)
        if self._paused or self._frozen:
            chan.pause_reading()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Keep what came until the end of the turn."""
        if self._chunks and datatype != self._datatype:
            self.show_all()
        self._datatype = datatype
        self._chunks.append(data)
        if len(self._chunks) == 1:
            self._turn.later(self.show_all)

    def show_all(self) -> None:
        """Hand on what was kept."""
        if self._chunks:
            chunks, self._chunks = self._chunks, []
            self._near.show(chunks[0] if len(chunks) == 1 else b"".join(chunks), self._datatype)

    def eof_received(self) -> bool:
        """The target's program has closed its output; ours stays open."""
        self._in_order(self._near.far_eof, last=True)
        return True

    def exit_status_received(self, status: int) -> None:
        """RFC 4254 section 6.10."""
        self._in_order(partial(self._near.far_exit, status), after_output=True)

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """RFC 4254 section 6.10."""
        tell = partial(self._near.far_signal, signal, core_dumped, msg, lang)
        self._in_order(tell, after_output=True)

    def _in_order(
        self, tell: Callable[[], None], *, after_output: bool = False, last: bool = False
    ) -> None:
        """Tell it, once what came before it was shown.

        asyncssh hears requests at once: how a program ended is told `after_output` that is still
        queued. Before what is `last` all else is told.
        """
        self.show_all()
        if self._frozen or (after_output and self._behind):
            if last or len(self._untold) < MOST_UNTOLD:
                self._untold.append(tell)
            return
        if last or after_output:
            self._tell_untold()
        tell()

    @property
    def _behind(self) -> bool:
        return self._chan is not None and self._chan.behind

    def _tell_untold(self) -> None:
        while self._untold and not self._frozen:
            self._untold.pop(0)()

    def xon_xoff_requested(self, client_can_do: bool) -> None:
        """RFC 4254 section 6.8."""
        self._in_order(partial(self._near.far_xon_xoff, client_can_do))

    def eow_received(self) -> None:
        """The program reads no more (PROTOCOL, 2.1)."""
        self._in_order(self._near.far_eow)

    def pause_writing(self) -> None:
        """The target takes no more for now."""
        self.blocked = True
        self._near.pace()

    def resume_writing(self) -> None:
        """It takes more again."""
        self.blocked = False
        self._near.pace()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone."""
        self._gone.set()
        self._in_order(partial(self._near.far_lost, exc), last=True)

    # To the target

    def write(self, data: bytes) -> None:
        """Send what the client sent."""
        if self._chan is not None:
            try:
                self._chan.write(data)
            except BrokenPipeError:
                return  # the target is closing: its program reads no more

    def write_eof(self) -> None:
        """The client sends no more."""
        if self._chan is not None:
            self._chan.write_eof()

    def send_signal(self, signal: str) -> None:
        """RFC 4254 section 6.9."""
        if self._chan is not None:
            self._chan.send_signal(signal)

    def send_break(self, msec: int) -> bool:
        """RFC 4335."""
        if self._chan is None:
            return False
        self._chan.send_break(msec)
        return True

    def resize(self, size: tuple[int, int, int, int]) -> None:
        """RFC 4254 section 6.7."""
        if self._chan is not None:
            self._chan.change_terminal_size(*size)

    def send_eow(self) -> None:
        """The client reads no more."""
        if self._chan is not None:
            self._chan.send_eow()

    def pause(self) -> None:
        """The client takes no more for now."""
        self._paused = True
        self._pace()

    def resume(self) -> None:
        """It takes more again."""
        self._paused = False
        self._pace()

    def freeze(self) -> None:
        """Read nothing more, and tell nothing more, until `go_on`."""
        self._frozen = True
        self._pace()

    def go_on(self) -> None:
        """Read and tell again, what came meanwhile first."""
        self._frozen = False
        self._pace()
        if not self._behind:
            self._tell_untold()

    def _pace(self) -> None:
        if self._chan is None:
            return
        if self._paused or self._frozen:
            self._chan.pause_reading()
        else:
            with self._turn:
                self._chan.resume_reading()

    def close(self) -> None:
        """Close the channel when what is queued has gone out."""
        if self._chan is not None:
            self._chan.close()

    def abort(self) -> None:
        """Close the channel at once."""
        if self._chan is not None:
            self._chan.abort()

    async def gone(self, seconds: float) -> None:
        """Wait until the target has closed too, but no longer than `seconds`."""
        if self._chan is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._gone.wait()
        except TimeoutError:
            self._chan.abort()
