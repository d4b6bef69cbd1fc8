"""What the packets of one reading carry, put together: data of one channel, and window of any.

A channel that is given 256 KiB at once, instead of 32 KiB eight times, has one eighth of the calls,
and each byte is copied once less. Nothing here opens a packet, or judges one.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bastion.wire.channels import BoundedChannel


class Gathered:
    """What is to be given to channels of one connection, in one go."""

    __slots__ = ("_channel", "_parts", "_size", "_wider")

    def __init__(self) -> None:
        self._channel: BoundedChannel | None = None
        self._parts: list[memoryview] = []
        self._size = 0
        self._wider: dict[BoundedChannel, int] = {}

    def takes(self, channel: "BoundedChannel", size: int) -> bool:
        """Whether `size` bytes for `channel` may go with the rest: it has granted them as well."""
        same = self._channel is channel or self._channel is None
        return same and self._size + size <= channel._recv_window

    def add(self, channel: "BoundedChannel", data: memoryview) -> None:
        """`data` for `channel`, which takes them."""
        self._channel = channel
        self._parts.append(data)
        self._size += len(data)

    def widen(self, channel: "BoundedChannel", size: int) -> None:
        """The peer takes `size` more bytes on `channel`."""
        self._wider[channel] = self._wider.get(channel, 0) + size

    def deliver(self) -> bool:
        """Give it to the channels, data first; whether there was anything."""
        channel, data, wider = self._channel, b"".join(self._parts), self._wider
        self._channel, self._parts, self._size, self._wider = None, [], 0, {}
        if channel is not None:
            channel._accept_data(data)
        for each, size in wider.items():
            each.widen(size)
        return channel is not None or bool(wider)
