"""The packet layer: asyncssh's, with a fast road for channel data and with back pressure.

asyncssh spends most of a bulk transfer on its per-packet bookkeeping. Here all data packets of one
read are opened in one pass, and all that they cause to be sent goes out in one write (`Turn`).
Only what bulk consists of takes the fast road, `MSG_CHANNEL_DATA` and `MSG_CHANNEL_WINDOW_ADJUST`
under AES-GCM (RFC 4254 section 5.2, RFC 5647); every other packet is handed, unopened, to
asyncssh's own code.

asyncssh also ignores a full transport, and queues without bound while keys are exchanged. Here a
connection is *held* for either reason, and its channels with it.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from struct import Struct
from types import TracebackType
from typing import TYPE_CHECKING, cast

from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_WINDOW_ADJUST, MSG_IGNORE
from asyncssh.encryption import GCMEncryption
from asyncssh.misc import ConnectionLost, DisconnectError
from asyncssh.packet import String

from bastion.wire.bounds import Windows
from bastion.wire.gathering import Gathered
from bastion.wire.gcm import TAG, Contexts, Gcm

if TYPE_CHECKING:
    from bastion.wire.channels import BoundedChannel

MOST_UNSENT = 64 * 1024 * 1024
"""Bytes that wait for a peer to read. Data is held long before; answers to questions are not."""

MOST_DEFERRED = 10_000
"""Packets that wait for a key exchange to end."""

_HEADER = Struct(">BBII")
"""How a packet of data begins, or of window: padding length, message number, channel, bytes."""

_WIDENED = frozenset({"open", "eof_pending", "eof"})
"""What a channel can be in to be given more window."""

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux has it (tcp(7))."""

_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Linux has it (tcp(7))."""

PROMPT_READS = 64
"""How many reads of a new connection are acknowledged at once: enough for the introductions."""


class Turn:
    """One reading of the wire: what is put off while it lasts is done, in order, at its end.

    One is shared by all connections of a process, and so are its `windows` and `contexts`. Outside
    of a turn nothing is put off.
    """

    __slots__ = ("_depth", "_later", "contexts", "windows")

    def __init__(self, windows: Windows | None = None) -> None:
        self.windows = windows or Windows()
        self.contexts = Contexts()
        self._depth = 0
        self._later: deque[Callable[[], None]] = deque()

    def later(self, act: Callable[[], None]) -> None:
        """Do `act` at the end of the turn, or now where there is none."""
        if self._depth:
            self._later.append(act)
        else:
            act()

    def __enter__(self) -> None:
        self._depth += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while self._depth == 1 and self._later:
                self._later.popleft()()
        finally:
            self._depth -= 1


class PacketRoad(SSHConnection):
    """A mixin before asyncssh's connection classes: the fast road and the holds.

    `turn` is set by the subclass's constructor before asyncssh's own runs.
    """

    turn: Turn
    most_unsent = MOST_UNSENT
    most_deferred = MOST_DEFERRED
    exchanging_keys = False
    """Whether channel data may not go out at all (RFC 4253 section 7.1)."""

    _full = False
    _sealer: Gcm | None = None
    _socket: socket.socket | None = None
    _prompt_reads = PROMPT_READS
    _heard_at = 0.0

    # Sending

    def _send(self, data: bytes) -> None:
        self._put((data,))

    def _put(self, pieces: Sequence[bytes]) -> None:
        """Queue `pieces` for one write at the end of the turn."""
        out = self._outbox()
        if not out:
            out.extend(pieces)
            self.turn.later(self._flush_outbox)
        else:
            out.extend(pieces)

    def _outbox(self) -> list[bytes]:
        out = self.__dict__.get("_out")
        if out is None:
            out = self.__dict__["_out"] = []
        return cast(list[bytes], out)

    def _flush_outbox(self) -> None:
        out = self._outbox()
        if not out:
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        if self._transport:
            try:
                self._transport.write(data)
            except ConnectionError:
                return  # the transport reports the loss itself
            if self._transport.get_write_buffer_size() > self.most_unsent:
                super()._force_close(ConnectionLost("The peer asks and does not read"))

    def _force_close(self, exc: Exception | None) -> None:
        self._flush_outbox()
        super()._force_close(exc)

    def send_packet(self, pkttype: int, *args: bytes, handler: object = None) -> None:
        """asyncssh's own road out. Its empty MSG_IGNORE before each packet guards CBC only."""
        if len(self._deferred_packets) > self.most_deferred:
            self._force_close(ConnectionLost("The peer never finishes its key exchange"))
            return
        encryption = self._send_encryption
        if type(encryption) is GCMEncryption:
            encryption = self._send_encryption = Gcm(encryption._cipher, self.turn.contexts)
        self._sealer = encryption if isinstance(encryption, Gcm) else None
        if self._sealer and pkttype == MSG_IGNORE and args == (String(b""),):
            return
        super().send_packet(pkttype, *args, handler=handler)  # type: ignore[arg-type]

    def send_channel_data(self, channel: int, data: memoryview, most: int) -> None:
        """`data` for the peer's `channel`, in MSG_CHANNEL_DATA of at most `most` bytes each."""
        if (sealer := self._sealer_for(len(data))) is not None:
            self._put(self._sealed(sealer, channel, data, most))
            return
        for start in range(0, len(data), most):
            piece = data[start : start + most]
            if (sealer := self._sealer_for(len(piece))) is not None:
                self._put(self._sealed(sealer, channel, piece, most))
            else:
                head = channel.to_bytes(4, "big") + len(piece).to_bytes(4, "big")
                self.send_packet(MSG_CHANNEL_DATA, head + piece)

    def _sealer_for(self, size: int) -> Gcm | None:
        """What seals data packets, where asyncssh would do nothing else with so many bytes."""
        sealer = self._sealer
        plain = sealer is self._send_encryption and self._kex_complete and not self._compressor
        return sealer if plain and self._rekey_bytes_sent + size < self._rekey_bytes else None

    def _sealed(self, sealer: Gcm, channel: int, data: memoryview, most: int) -> list[bytes]:
        """The packets of `data`, each in two pieces."""
        pieces: list[bytes] = []
        block, before = self._send_blocksize, self._send_enchdrlen + _HEADER.size - 1
        for start in range(0, len(data), most):
            part = data[start : start + most]
            size = len(part)
            padding = -(before + size) % block
            if padding < 4:
                padding += block
            length = _HEADER.size + size + padding
            header = length.to_bytes(4, "big")
            head = _HEADER.pack(padding, MSG_CHANNEL_DATA, channel, size)
            packet = b"".join((head, part, sealer.padding(padding)))
            pieces += (header, sealer.seal(header, packet))
            self._rekey_bytes_sent += length
        self._send_seq = (self._send_seq + len(pieces) // 2) & 0xFFFFFFFF
        return pieces

    # Receiving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The two sides begin to introduce themselves."""
        self._socket = transport.get_extra_info("socket")
        self._acknowledge()
        super().connection_made(transport)
        self._limit_silence(transport.get_extra_info("socket"))

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Something has arrived."""
        self._acknowledge()
        super().data_received(data, datatype)

    def _reset_keepalive_timer(self) -> None:
        """As asyncssh's, without a new timer for each read: the one that runs looks, when it is
        due, at when something was heard."""
        self._heard_at = self._loop.time()
        if self._auth_complete and self._keepalive_timer is None:
            self._set_keepalive_timer()

    def _keepalive_timer_callback(self) -> None:
        left = self._heard_at + self._keepalive_interval - self._loop.time()
        if left > 0:
            again = self._keepalive_timer_callback
            self._keepalive_timer = self._loop.call_later(left, again)
        else:
            super()._keepalive_timer_callback()

    def _limit_silence(self, sock: socket.socket | None) -> None:
        """What was sent and is not acknowledged for as long as a peer may be silent ends it too: a
        question that can't be sent has no answer to be missed."""
        dead = self._keepalive_interval * (self._keepalive_count_max + 1)
        if sock is not None and _USER_TIMEOUT is not None and dead:
            with suppress(OSError):  # no TCP
                sock.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(dead * 1000))

    def _acknowledge(self) -> None:
        """Have the kernel acknowledge at once what has arrived, while the connection is new.

        OpenSSH turns Nagle's algorithm off only where a session begins. Until then its second
        small packet waits for our acknowledgement of the first, and Linux would wait 40 ms with
        that, several times for each `ssh`.
        """
        if self._socket is None or _QUICKACK is None:
            return
        with suppress(OSError):  # the other side has gone
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        self._prompt_reads -= 1
        if not self._prompt_reads:
            self._socket = None

    def _recv_data(self) -> None:
        """asyncssh's loop over what has arrived, with all plain data taken out first."""
        self._reset_keepalive_timer()
        with self.turn:
            try:
                while self._inpbuf:
                    opener = self._fast_road()
                    if opener is not None and self._take_data(opener):
                        break
                    if not self._recv_handler():
                        break
            except DisconnectError as exc:
                self._send_disconnect(exc.code, exc.reason, exc.lang)
                self._force_close(exc)
            except Exception:  # noqa: BLE001 as asyncssh: it ends this connection alone
                self.internal_error()

    def _fast_road(self) -> Gcm | None:
        """What opens data packets, where asyncssh is between two packets and would just pass on."""
        encryption = self._recv_encryption
        if type(encryption) is GCMEncryption:
            encryption = self._recv_encryption = Gcm(encryption._cipher, self.turn.contexts)
        between = self._recv_handler == self._recv_pkthdr
        if isinstance(encryption, Gcm) and self._auth_complete and between:
            return None if self._decompressor else encryption
        return None

    def _take_data(self, opener: Gcm) -> bool:
        """Deliver the packets of data and of window at the front of the buffer.

        Returns whether the rest is an unfinished packet; otherwise a whole packet of another kind
        is at the front, for asyncssh's own road.
        """
        buffer = self._inpbuf
        view = memoryview(buffer)
        end, at = len(buffer), 0
        gathered = Gathered()
        try:
            while True:
                if end - at < 4:
                    return True
                length = int.from_bytes(view[at : at + 4], "big")
                if length > self._max_recv_pktlen or length < 12:
                    return end - at < self._recv_blocksize
                stop = at + 4 + length + TAG
                if stop > end:
                    return True
                packet = opener.peek(view[at : at + 4], view[at + 4 : stop])
                if not self._gather(packet, gathered):
                    return not self._transport
                opener.take()
                self._recv_seq = (self._recv_seq + 1) & 0xFFFFFFFF
                at = stop
        finally:
            if at:
                self._inpbuf = buffer[at:]
            gathered.deliver()

    def _gather(self, packet: bytes, gathered: Gathered) -> bool:
        """Put what a well-formed packet of data, or of window, carries to the rest; False leaves it
        to asyncssh to judge."""
        if len(packet) < _HEADER.size:
            return False
        padding, kind, number, size = _HEADER.unpack_from(packet)
        channel = cast("BoundedChannel | None", self._channels.get(number))
        if channel is None:
            return False
        extra = len(packet) - _HEADER.size - padding
        if kind == MSG_CHANNEL_DATA and extra == size and channel._recv_state == "open":
            if not gathered.takes(channel, size):
                return gathered.deliver() and self._gather(packet, gathered)
            gathered.add(channel, memoryview(packet)[_HEADER.size : _HEADER.size + size])
        elif kind == MSG_CHANNEL_WINDOW_ADJUST and not extra and channel._recv_state in _WIDENED:
            gathered.widen(channel, size)
        else:
            return False
        self._auth_final = True
        return True

    def asked(self) -> None:
        """The peer asks for something, on this connection or on a channel of it."""

    # Holding

    @property
    def held(self) -> bool:
        """Whether channels should wait: the transport is full, or keys are being exchanged."""
        return self._full or self.exchanging_keys

    def pause_writing(self) -> None:
        """The transport is full."""
        self._full = True
        self._tell_channels()

    def resume_writing(self) -> None:
        """The transport has room again."""
        if self._full:
            self._full = False
            self._tell_channels()

    def _send_kexinit(self) -> None:
        self.exchanging_keys = True
        self._tell_channels()
        super()._send_kexinit()

    def _send_deferred_packets(self) -> None:
        super()._send_deferred_packets()
        if self._kex_complete and self.exchanging_keys:
            self.exchanging_keys = False
            self._tell_channels()

    def _tell_channels(self) -> None:
        for channel in self._bounded_channels():
            channel.writable_changed()

    def _bounded_channels(self) -> list["BoundedChannel"]:
        return cast("list[BoundedChannel]", list(self._channels.values()))
