"""Trying a target before anybody needs it: reach, host key, login, clock.

Logs in as the bastion would, with a certificate that forces one harmless command (`date +%s`).
Each step is tried in order, and the first that fails is the last. While the target CA is changed,
the next key is tried first: whether a target has moved is seen, not said.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncssh

from bastion.authority import Authority, TargetCredential, Which, read_public_key
from bastion.errors import BadInput, Unavailable
from bastion.inventory import Host, PublicKey
from bastion.ledger import Signed
from bastion.upstream import Connector, Upstream
from bastion.wire.channels import Start
from bastion.wire.connections import shared_options

SCANNED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")
"""The host key algorithms that a scan asks for, the best one first."""

PATIENCE = 10.0
"""Seconds for each question to a target."""

APART = timedelta(seconds=60)
"""Clocks further apart than this are a fault: a certificate's times would not fit."""

_ASK_CLOCK = "date +%s"

_CA = Which.TARGET_CA


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried: `what`, whether it went well, and what was seen or how to mend.

    `target_ca` is the fingerprint of the CA by which the login went well.
    """

    what: str
    well: bool
    seen: str
    target_ca: str | None = None


Minting: TypeAlias = Callable[[Callable[[int], Signed]], object]
"""Signs with the serial of a line in the ledger, which is kept or not with the certificate."""


class Prober:
    """Tries targets. `authority` signs for the login."""

    def __init__(self, authority: Authority, connector: Connector):
        self._authority = authority
        self._connector = connector

    async def steps(
        self, host: Host, login: tuple[str, Minting] | None = None
    ) -> AsyncIterator[Step]:
        """What is found, step by step; without a login, only reach and host key.

        A login brings the way into the ledger, where each certificate is before it is shown.
        """
        shown = await self._reached(host)
        yield shown
        if not shown.well:
            return
        yield (key := await self._pinned(host))
        if key.well and login is not None:
            async for step in self._logged_in(host, *login):
                yield step

    async def _reached(self, host: Host) -> Step:
        try:
            async with asyncio.timeout(PATIENCE):
                _, writer = await asyncio.open_connection(host.address, host.port)
        except TimeoutError:
            return Step("reach", False, f"{host.address}:{host.port} does not answer.")
        except OSError as error:
            return Step("reach", False, f"{host.address}:{host.port}: {_reason(error)}.")
        writer.close()
        return Step("reach", True, f"{host.address}:{host.port}")

    async def _pinned(self, host: Host) -> Step:
        shown = await scan(host.address, host.port)
        known = {key.blob for key in host.host_keys}
        match = next((key for key in shown if key.blob in known), None)
        if match is not None:
            return Step("host key", True, match.fingerprint)
        if host.host_cas:
            return Step("host key", True, "judged by its host CA at login")
        seen = ", ".join(key.fingerprint for key in shown) or "none that the bastion takes"
        mend = f"if that is right: bastion-admin host set {host.name} --scan"
        return Step("host key", False, f"it shows {seen}, which is not pinned; {mend}")

    async def _logged_in(self, host: Host, login: str, mint: Minting) -> AsyncIterator[Step]:
        cas = [ca.public.fingerprint for ca in reversed(self._authority.generations(_CA).live)]
        failed = ""
        for tried, target_ca in enumerate(cas):
            credential = await asyncio.to_thread(self._credential, host, login, target_ca, mint)
            try:
                upstream = await self._connector.connect_with(host, login, credential)
            except Unavailable as error:
                failed = str(error)
                continue
            try:
                yield Step("login", True, login, target_ca)
                if len(cas) > 1:
                    yield _moved(host, target_ca, moved=tried == 0)
                yield _compared(await _asked(upstream, _ASK_CLOCK))
            finally:
                upstream.close()
            return
        mend = f"bastion-admin host setup {host.name} prints what it needs"
        yield Step("login", False, f"{failed} {mend}.")

    def _credential(
        self, host: Host, login: str, target_ca: str, mint: Minting
    ) -> TargetCredential:
        made: list[TargetCredential] = []

        def sign(serial: int) -> Signed:
            made.append(
                self._authority.target_credential(
                    login,
                    host.name,
                    f"check {host.name}",
                    force_command=_ASK_CLOCK,
                    pty=False,
                    now=datetime.now(UTC),
                    serial=serial,
                    trusted=target_ca,
                )
            )
            return made[-1].signed

        mint(sign)
        return made[-1]


class _Answer(asyncssh.SSHClientSession[bytes]):
    """What a program writes, up to a line's length, and when it has closed."""

    def __init__(self) -> None:
        self.text = b""
        self.closed = asyncio.Event()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.text = (self.text + data)[:200]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


async def _asked(upstream: Upstream, command: str) -> str:
    """The first line that `command` writes; empty where it does not answer."""
    answer = _Answer()
    try:
        async with asyncio.timeout(PATIENCE):
            channel = await upstream.start(answer, Start(b"exec", command.encode(), None, {}))
            channel.begin_reading()
            await answer.closed.wait()
    except (TimeoutError, Unavailable):
        return ""
    return answer.text.decode("ascii", "replace").partition("\n")[0].strip()


def _moved(host: Host, target_ca: str, *, moved: bool) -> Step:
    """While there is a next target CA: whether the host trusts it."""
    if moved:
        return Step("target CA", True, f"{target_ca}, the next one")
    mend = f"add its line, as bastion-admin host setup {host.name} prints it"
    return Step("target CA", False, f"{target_ca}: it does not trust the next one yet; {mend}.")


def _compared(line: str) -> Step:
    if not line.isascii() or not line.isdigit() or len(line) > 12:
        return Step("clock", False, "the target did not say its time; does its shell print more?")
    apart = abs(datetime.now(UTC) - datetime.fromtimestamp(int(line), UTC))
    seconds = round(apart.total_seconds())
    mend = "" if apart < APART else "; set it right (chrony, systemd-timesyncd)"
    return Step("clock", apart < APART, f"{seconds} s apart{mend}")


def _reason(error: OSError) -> str:
    """The system's words: asyncio puts its own, with the address, in their place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


async def scan(address: str, port: int) -> list[PublicKey]:
    """The host keys that `address:port` shows, one for each algorithm. Raises Unavailable.

    A server that lacks an algorithm may reset the connection, so an error counts only where
    nothing at all was shown.
    """
    found: list[PublicKey] = []
    error: Unavailable | None = None
    for algorithm in SCANNED:
        try:
            key = await _shown(address, port, algorithm)
        except Unavailable as failed:
            error = failed
        else:
            found += [] if key is None else [key]
    if error is not None and not found:
        raise error
    return found


async def _shown(address: str, port: int, algorithm: str) -> PublicKey | None:
    try:
        async with asyncio.timeout(PATIENCE):
            options = asyncssh.SSHClientConnectionOptions(**shared_options())
            key = await asyncssh.get_server_host_key(
                address, port, config=None, server_host_key_algs=[algorithm], options=options
            )
        return None if key is None else read_public_key(key.export_public_key("openssh"))
    except (asyncssh.Error, BadInput):
        return None
    except (TimeoutError, OSError) as error:
        reason = "it does not answer" if isinstance(error, TimeoutError) else _reason(error)
        raise Unavailable(f"{address}:{port} can't be asked for its key: {reason}.") from None
