"""The channel layer: asyncssh's channels, bounded and faithful.

What asyncssh does differently from what a relay needs, and what is done here:

- it gives a full window back though data is still queued: here only what was delivered;
- it copies unsent data again and again: here it is cut by views;
- it answers start requests at once: here the relay answers when the target has;
- it refuses a command that is not UTF-8, and does not know `eow@openssh.com`;
- it queues requests without bound while one of them is being answered;
- it asserts that the connection is there still when a channel that it opened is confirmed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

from asyncssh.channel import SSHChannel, SSHClientChannel, SSHServerChannel, SSHTCPChannel
from asyncssh.constants import (
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_CONNECT_FAILED,
    OPEN_REQUEST_SESSION_FAILED,
)
from asyncssh.misc import ChannelOpenError, ProtocolError
from asyncssh.packet import Boolean, SSHPacket, String, UInt32
from asyncssh.session import SSHClientSession, SSHServerSession, SSHTCPSession

from bastion.wire.quiet import Quiet
from bastion.wire.slots import slots

if TYPE_CHECKING:
    from bastion.wire.packets import PacketRoad

MAX_WAITING_REQUESTS = 64
"""Channel requests that may wait while one is being answered."""

MAX_VARIABLES = 64
LONGEST_VARIABLE = 512
"""Environment variables that a channel keeps, and bytes of one with its name."""

SLICE = 256 * 1024
"""Bytes of queued data that one channel delivers before others get their turn."""

_EOW = b"eow@openssh.com"
_CAN_CLOSE = frozenset({"open", "eof_pending", "eof"})


@runtime_checkable
class HearsEow(Protocol):
    """A session that wants to know that the peer's program reads no more (PROTOCOL, 2.1)."""

    def eow_received(self) -> None:
        """The peer closed its reading side."""


@runtime_checkable
class HoldsClose(Protocol):
    """A session that may put off the close, until an exit status has been passed on."""

    def close_received(self) -> bool:
        """The peer closed the channel; True puts off our own close."""


class BoundedChannel(Quiet, SSHChannel[bytes]):
    """A channel that never keeps more than one window unread and one high-water mark unsent."""

    __slots__ = slots(SSHChannel)

    _undelivered_credit = 0
    _resting = False
    _full = False
    _blocked = False

    @property
    def _road(self) -> "PacketRoad":
        return cast("PacketRoad", self._conn)

    async def _open(self, chantype: bytes, *args: bytes) -> SSHPacket:
        packet = await super()._open(chantype, *args)
        if self._conn is None:  # it went between the confirmation and now
            raise ChannelOpenError(OPEN_CONNECT_FAILED, "SSH connection closed")
        return packet

    def _accept_data(self, data: bytes, datatype: int | None = None) -> None:
        """As asyncssh's, but never ahead of what is still queued."""
        if not data or self._send_state in ("close_pending", "closed"):
            return
        self._recv_window -= len(data)
        if self._recv_paused or self._recv_buf:
            self._recv_buf.append((data, datatype))
        else:
            self._deliver_data(data, datatype)

    def _flush_recv_buf(self, exc: Exception | None = None) -> None:
        """Deliver what was queued while reading was paused; others get their turn in between.

        The end of file and the close come when all has been delivered.
        """
        given = 0
        while self._recv_buf and not self._recv_paused:
            if given >= SLICE:
                if not self._resting:
                    self._resting = True
                    self._loop.call_soon(self._rested, exc)
                return
            data, datatype = self._recv_buf.pop(0)
            given += len(data)
            self._deliver_data(data, datatype)
        super()._flush_recv_buf(exc)

    def _rested(self, exc: Exception | None) -> None:
        self._resting = False
        if self._conn is not None:
            with self._road.turn:
                self._flush_recv_buf(exc)

    @property
    def behind(self) -> bool:
        """Whether something that has come is not delivered yet."""
        return bool(self._recv_buf)

    def _deliver_data(self, data: bytes, datatype: int | None) -> None:
        self._undelivered_credit += len(data)
        if self._undelivered_credit >= self._init_recv_window // 2:
            self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(self._undelivered_credit))
            self._recv_window += self._undelivered_credit
            self._undelivered_credit = 0
        if self._session is not None:
            self._session.data_received(data, datatype)

    def write(self, data: bytes, datatype: int | None = None) -> None:
        """Send `data`, or keep it until the peer's window and the connection let it go."""
        if self._send_state != "open":
            raise BrokenPipeError("Channel not open for sending")
        if data:
            self._send_buf.append((memoryview(data), datatype))  # type: ignore[arg-type]
            self._send_buf_len += len(data)
            self._flush_send_buf()

    def _flush_send_buf(self) -> None:
        if self._conn is None or self._road.exchanging_keys:
            self._pause_resume_writing()
            return
        while self._send_buf and self._send_window:
            self._send_front()
        self._pause_resume_writing()
        if not self._send_buf:
            self._send_ending()

    def _send_front(self) -> None:
        """Of what waits longest, as much as the peer's window lets go."""
        data, datatype = cast("tuple[memoryview, int | None]", self._send_buf[0])
        size = min(self._send_window, len(data))
        if datatype is not None:
            size = min(size, self._send_pktsize)
        if size < len(data):
            self._send_buf[0] = (data[size:], datatype)  # type: ignore[assignment]
        else:
            del self._send_buf[0]
        self._send_buf_len -= size
        self._send_window -= size
        if datatype is None and self._send_chan is not None:
            self._road.send_channel_data(self._send_chan, data[:size], self._send_pktsize)
        elif datatype is not None:
            piece = String(bytes(data[:size]))
            self.send_packet(MSG_CHANNEL_EXTENDED_DATA, UInt32(datatype), piece)

    def widen(self, size: int) -> None:
        """The peer takes `size` more bytes (MSG_CHANNEL_WINDOW_ADJUST)."""
        self._send_window += size
        self._flush_send_buf()

    def _send_ending(self) -> None:
        if self._send_state == "eof_pending":
            self.send_packet(MSG_CHANNEL_EOF)
            self._send_state = "eof"
        elif self._send_state == "close_pending":
            self._close_send()

    def writable_changed(self) -> None:
        """The connection was held or released."""
        if self._session is None or self._send_chan is None:
            return
        if self._send_buf or self._send_state in ("eof_pending", "close_pending"):
            self._flush_send_buf()
        else:
            self._pause_resume_writing()

    def _pause_resume_writing(self) -> None:
        """Tell the session when it should stop writing: the buffer or the connection is full."""
        mark = self._send_low_water if self._full else self._send_high_water
        self._full = self._send_buf_len > mark
        blocked = self._full or (self._conn is not None and self._road.held)
        if blocked == self._blocked or self._session is None:
            return
        self._blocked = blocked
        if blocked:
            self._session.pause_writing()
        else:
            self._session.resume_writing()

    def _process_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        if len(self._request_queue) >= MAX_WAITING_REQUESTS:
            raise ProtocolError("Too many channel requests")
        self._road.asked()
        super()._process_request(pkttype, pktid, packet)

    def _process_eow_at_openssh_dot_com_request(self, packet: SSHPacket) -> bool:
        packet.check_end()
        session: object = self._session
        if isinstance(session, HearsEow):
            session.eow_received()
        return True

    def send_eow(self) -> None:
        """Tell the peer that we read no more (PROTOCOL, 2.1)."""
        self._send_request(_EOW)

    def _process_close(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        session: object = self._session
        if isinstance(session, HoldsClose) and self._recv_state in _CAN_CLOSE:
            packet.check_end()
            if session.close_received():
                self._send_buf = []
                self._send_buf_len = 0
                self._recv_state = "close_held"
                return
        super()._process_close(pkttype, pktid, packet)

    def finish_close(self) -> None:
        """End what `close_received` put off: send our close, and be done."""
        if self._recv_state == "close_held":
            self._flush_send_buf()
            self._close_send()
            self._recv_state = "close_pending"
            self._discard_recv()
        else:
            self.close()

    _packet_handlers = {  # noqa: RUF012 as asyncssh declares it
        **SSHChannel._packet_handlers,
        97: _process_close,  # MSG_CHANNEL_CLOSE
        98: _process_request,  # MSG_CHANNEL_REQUEST
    }


class SessionChannel(BoundedChannel, SSHServerChannel[bytes]):
    """A session channel that a client opened here; its relay answers start requests itself."""

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        command = packet.get_string()
        packet.check_end()
        return self._start_session(command=command.decode("utf-8", "surrogateescape"))

    def _process_env_request(self, packet: SSHPacket) -> bool:
        size = len(packet.get_remaining_payload())
        if len(self._env) >= MAX_VARIABLES or size > LONGEST_VARIABLE:
            return False
        return super()._process_env_request(packet)

    def _process_x11_req_request(self, packet: SSHPacket) -> bool:
        return False

    def _process_auth_agent_req_at_openssh_dot_com_request(self, packet: SSHPacket) -> bool:  # type: ignore[override]
        return False

    def answer(self, started: bool) -> None:
        """Answer the start request that the session put off by returning None."""
        if self._request_queue:
            self._report_response(started)

    def hand_over(self, session: SSHServerSession[bytes]) -> None:
        """Let `session` hear what comes from now on."""
        self._session = session

    def send_exit_status(self, status: int) -> None:
        """Pass on how the program ended (RFC 4254 section 6.10); the channel stays open."""
        self._send_request(b"exit-status", UInt32(status))

    def send_exit_signal(self, name: str, core: bool, message: str, lang: str) -> None:
        """Pass on the signal that ended the program (RFC 4254 section 6.10)."""
        parts = (String(name), Boolean(core), String(message), String(lang))
        self._send_request(b"exit-signal", *parts)


@dataclass(frozen=True, slots=True)
class Terminal:
    """A pty as a client asked for it (RFC 4254 section 6.2).

    `size` is columns, rows, and both in pixels; `modes` are the encoded terminal modes' opcodes
    and values.
    """

    term: str
    size: tuple[int, int, int, int]
    modes: Mapping[int, int]

    def request(self) -> bytes:
        """The payload of the `pty-req`."""
        size = b"".join(UInt32(number) for number in self.size)
        modes = b"".join(bytes((code,)) + UInt32(value) for code, value in self.modes.items())
        return String(self.term) + size + String(modes + b"\0")


@dataclass(frozen=True, slots=True)
class Start:
    """What a session channel is to start: `request` is `shell`, `exec` or `subsystem`.

    `payload` is the command or the subsystem's name, as bytes; `environment` goes before it.
    """

    request: bytes
    payload: bytes | None
    terminal: Terminal | None
    environment: Mapping[bytes, bytes]


class UpstreamChannel(BoundedChannel, SSHClientChannel[bytes]):
    """A session channel that we opened at a target."""

    async def start(self, session: SSHClientSession[bytes], start: Start) -> None:
        """Open the channel and start what was asked for; returns when the target has answered.

        Raises ChannelOpenError where it refuses.
        """
        (await self._open(b"session")).check_end()
        self._session = session
        session.connection_made(self)
        for name, value in start.environment.items():
            self._send_request(b"env", String(name), String(value))
        if start.terminal is not None:
            await self._must(b"pty-req", start.terminal.request())
        payload = b"" if start.payload is None else String(start.payload)
        await self._must(start.request, payload)
        session.session_started()

    async def _must(self, request: bytes, payload: bytes) -> None:
        if not await self._make_request(request, payload):
            self.close()
            what = request.decode()
            raise ChannelOpenError(OPEN_REQUEST_SESSION_FAILED, f"the {what} request was refused")

    def begin_reading(self) -> None:
        """Deliver what the target sends, unless it was paused before."""
        if self._recv_paused == "starting":
            self.resume_reading()


class TunnelChannel(BoundedChannel, SSHTCPChannel[bytes]):
    """A direct-tcpip channel: it carries an inner SSH connection, or a forward."""

    async def lead(self, session: SSHTCPSession[bytes], to: tuple[str, int]) -> None:
        """Open the channel to where `to` leads (RFC 4254, 7.2). Raises ChannelOpenError."""
        host, port = to
        where = (String(host), UInt32(port), String("127.0.0.1"), UInt32(0))
        (await self._open(b"direct-tcpip", *where)).check_end()
        self._session = session
        session.connection_made(self)
        session.session_started()
        self._road.create_task(self._start_reading(), self.logger)
