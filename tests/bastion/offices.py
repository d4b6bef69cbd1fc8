"""Places that messages are sent to: a web server and a mail server on loopback, both real.

Each keeps what it was sent, and answers as it is told to: late, wrongly, too much, not at all.
"""

import asyncio
import select
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Letter:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes


def says(status: str, body: bytes = b"ok", *headers: str) -> Answer:
    """A whole answer."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    return answer


def raw(*parts: bytes, then: Answer | None = None) -> Answer:
    """These bytes, and then something else."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)
        await writer.drain()
        if then is not None:
            await then(writer)

    return answer


async def hangs(_: asyncio.StreamWriter) -> None:
    """Nothing, for ever."""
    await asyncio.Event().wait()


def drips(line: bytes, every: float = 0.02) -> Answer:
    """The same bytes again and again, slowly."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(line)
            await writer.drain()
            await asyncio.sleep(every)

    return answer


class PostOffice:
    """An HTTP server. `answer` is how it answers the next request."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.answer: Answer = says("200 OK")
        self.sent = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answered(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        request, *lines = head.rstrip().split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers = {name.lower(): value for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.letters.append(Letter(request.split()[1], headers, body))
        await self.answer(writer)
        await writer.drain()

    @asynccontextmanager
    async def open(self, context: ssl.SSLContext | None = None) -> AsyncIterator["PostOffice"]:
        """Serve until the end of the block."""
        server = await asyncio.start_server(self._served, "127.0.0.1", self.port, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            left = list(self._tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left)
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.sleep(0)

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """Where it is."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"


class Proxy:
    """An HTTP proxy for one connection to one place; `asked` is the line that it was asked."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked = ""
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        """Serve until the end of the block."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            thread = threading.Thread(target=self._serve, args=(listening,))
            thread.start()
            yield self
            await asyncio.to_thread(thread.join)

    def _serve(self, listening: socket.socket) -> None:
        near, _ = listening.accept()
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += near.recv(1)
            self.asked = asked.split(b"\r\n")[0].decode()
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            other = {near: far, far: near}
            while True:
                for ready in select.select([near, far], [], [], 10)[0]:
                    if not (chunk := ready.recv(65536)):
                        return
                    other[ready].sendall(chunk)


@dataclass
class MailOffice:
    """A mail server; `refuse` are answers for addresses that it does not take."""

    letters: list[Envelope] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)
    at_data: str = "250 2.0.0 queued as 42"
    port: int = 0

    async def handle_RCPT(  # noqa: N802 (the library's)
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """A receiver was named."""
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """A letter was handed in."""
        if self.at_data.startswith("250"):
            self.letters.append(envelope)
        return self.at_data

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator["MailOffice"]:  # noqa: ANN401
        """Serve until the end of the block; `settings` are aiosmtpd's."""
        implicit = settings.pop("implicit", None)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, hostname="mail", loop=loop, **settings),
            "127.0.0.1",
            self.port,
            ssl=implicit,
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.sleep(0)


def signs_in(user: bytes, password: bytes) -> Callable[..., AuthResult]:
    """An authenticator that knows one account."""

    def judge(*asked: object) -> AuthResult:
        known = asked[-1] == LoginPassword(user, password)
        return AuthResult(success=known, handled=False)

    return judge


@dataclass(frozen=True)
class Certified:
    """A server's TLS context for 127.0.0.1, and the file of the CA that signed its certificate."""

    server: ssl.SSLContext
    ca_file: Path

    @property
    def client(self) -> ssl.SSLContext:
        """A context that takes that CA."""
        return ssl.create_default_context(cafile=self.ca_file)


def certified(directory: Path) -> Certified:
    """A CA of its own, and a certificate of it."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _name("test CA")
    basic = x509.BasicConstraints(ca=True, path_length=0)
    ca = _unsigned(issuer, issuer, ca_key).add_extension(basic, critical=True)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    leaf = _unsigned(_name("server"), issuer, key).add_extension(address, critical=False)
    files = directory / "ca.pem", directory / "server.pem"
    files[0].write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(_PEM))
    private = key.private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files[1].write_bytes(private + leaf.sign(ca_key, hashes.SHA256()).public_bytes(_PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1])
    return Certified(context, files[0])


_PEM = serialization.Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
