"""Our connection to the target: made by a `Run`, with a certificate minted for it alone.

The host's key is pinned, never learnt. Every way in which it can fail becomes one sentence for
the person (`errors.Unavailable`) and ends at once. asyncssh's errors are renamed here.
"""

import asyncio
import copy
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import asyncssh
from asyncssh.constants import OPEN_ADMINISTRATIVELY_PROHIBITED, OPEN_REQUEST_SESSION_FAILED
from asyncssh.public_key import decode_ssh_public_key

from bastion.authority import Authority, TargetCredential
from bastion.clock import Clock
from bastion.errors import Unavailable
from bastion.inventory import Host
from bastion.ledger import Draft, Kind, Signed
from bastion.policy import Mode, Run
from bastion.store import Store
from bastion.wire.channels import Start, TunnelChannel, UpstreamChannel
from bastion.wire.connections import (
    VERSION,
    ClientConnection,
    answering,
    shared_options,
)
from bastion.wire.packets import Turn

METADATA = frozenset({"fd00:ec2::254", "100.100.100.200"})
"""Where clouds (AWS, Alibaba) tell machines their secrets, beside link-local addresses."""

Keys = Sequence[asyncssh.SSHKey]
Pinned = tuple[Keys, Keys, Keys, tuple[()], tuple[()], tuple[()], tuple[()]]


@dataclass(frozen=True, slots=True)
class Upstream:
    """An authenticated connection to a target, as one login."""

    host: Host
    login: str
    _connection: ClientConnection = field(repr=False)

    @property
    def closed(self) -> bool:
        """Whether it is of no more use."""
        return self._connection.is_closed()

    async def start(
        self, session: asyncssh.SSHClientSession[bytes], start: Start
    ) -> UpstreamChannel:
        """Open a session channel and start what `start` says. Raises Unavailable."""
        with _renamed(self.host, self.login):
            channel = self._connection.session_channel()
            try:
                await channel.start(session, start)
            except asyncssh.ChannelOpenError as error:
                if start.request != b"subsystem" or error.code != OPEN_REQUEST_SESSION_FAILED:
                    raise
                sentence = f"{self.host.name} has no sftp: its sshd_config has to have the line "
                raise Unavailable(f"{sentence}'Subsystem sftp internal-sftp'.") from None
            return channel

    async def forward(
        self, session: asyncssh.SSHTCPSession[bytes], to: tuple[str, int]
    ) -> TunnelChannel:
        """Let the target connect to a host and a port (RFC 4254, 7.2). Raises Unavailable."""
        with _renamed(self.host, self.login):
            try:
                return await self._connection.tunnel(session, to)
            except asyncssh.ChannelOpenError as error:
                reason = _theirs(error.reason)
                if error.code == OPEN_ADMINISTRATIVELY_PROHIBITED:
                    reason = "its sshd forbids it (AllowTcpForwarding local permits it)"
                raise Unavailable(f"{self.host.name} did not connect: {reason}.") from None

    def close(self) -> None:
        """End the connection and every channel on it."""
        self._connection.close()


@dataclass(slots=True)
class Shared:
    """A connection to the target that several channels use, and how many do."""

    upstream: Upstream | None = None
    users: int = 0
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def connected(self, connect: Callable[[], Awaitable[Upstream]]) -> Upstream:
        """The one there is, or else what `connect` makes. Raises what that raises."""
        async with self._connecting:
            if self.upstream is None or self.upstream.closed:
                self.upstream = await connect()
            return self.upstream

    def close(self) -> None:
        """End it, if there is one."""
        if self.upstream is not None:
            self.upstream.close()


class Connector:
    """Makes connections to targets. `connect_timeout` is in seconds, for all of it; a target that
    has not answered for `dead` seconds is gone."""

    def __init__(
        self,
        authority: Authority,
        store: Store,
        clock: Clock,
        turn: Turn,
        *,
        connect_timeout: float,
        dead: float,
    ):
        self._authority = authority
        self._store = store
        self._clock = clock
        self._turn = turn
        self._timeout = connect_timeout
        self._options = asyncssh.SSHClientConnectionOptions(
            **shared_options(),
            client_version=VERSION,
            client_keys=None,
            agent_path=None,
            known_hosts=((), (), (), (), (), (), ()),
            preferred_auth=("publickey",),
            gss_host=None,
            **answering(dead),
            login_timeout=connect_timeout,
        )

    async def connect(self, run: Run, connection: int) -> Upstream:
        """A connection for what `run` allows, by the jump `C-<connection>`. Raises Unavailable."""
        credential = await asyncio.to_thread(self._mint, run, connection)
        return await self.connect_with(run.host, run.login, credential)

    def _mint(self, run: Run, connection: int) -> TargetCredential:
        """A certificate for this one connection; the ledger has it before anybody else."""
        now = self._clock.now()
        draft = Draft(
            Kind.TARGET,
            run.identity.user.name,
            frozenset({run.grant.id}),
            now,
            source=run.identity.source,
            connection=connection,
            host=run.host.name,
        )
        made: list[TargetCredential] = []

        def sign(serial: int) -> Signed:
            key_id = f"C-{connection} {run.identity.user.name} {run.grant}"
            made.append(
                self._authority.target_credential(
                    run.login,
                    run.host.name,
                    key_id,
                    force_command=run.forced,
                    pty=run.terminal,
                    forwarding=run.ask.mode is Mode.FORWARD,
                    now=now,
                    serial=serial,
                    trusted=run.host.target_ca,
                )
            )
            return made[-1].signed

        self._store.sign_into_ledger(draft, sign)
        return made[-1]

    async def connect_with(self, host: Host, login: str, credential: TargetCredential) -> Upstream:
        """A connection as `login` by a credential that was made before. Raises Unavailable."""
        with _renamed(host, login):
            async with asyncio.timeout(self._timeout):
                address = await _resolve(host)
                return Upstream(host, login, await self._open(host, address, login, credential))

    async def _open(
        self, host: Host, address: str, login: str, credential: TargetCredential
    ) -> ClientConnection:
        loop = asyncio.get_running_loop()
        options = copy.copy(self._options)
        options.host = options.orig_host = host.address
        options.port = host.port
        options.username = login
        options.known_hosts = _pinned(host)
        options.client_keys = asyncssh.load_keypairs((credential.key, credential.certificate))
        options.waiter = loop.create_future()
        _, connection = await loop.create_connection(
            lambda: ClientConnection(loop, options, self._turn), address, host.port
        )
        try:
            await options.waiter
        except BaseException:
            connection.abort()
            raise
        connection.settle(self._options)
        return connection


def _pinned(host: Host) -> Pinned:
    """What asyncssh takes for known hosts: keys, CAs, revoked keys, and four for X.509."""
    keys = [decode_ssh_public_key(key.blob) for key in host.host_keys]
    authorities = [decode_ssh_public_key(key.blob) for key in host.host_cas]
    return keys, authorities, (), (), (), (), ()


async def _resolve(host: Host) -> str:
    """The address to connect to. A *name* must not lead to ourselves or to a metadata service.

    An operator may enter such an address as it stands; DNS may not choose one.
    """
    if _is_address(host.address):  # asking costs a thread's turn, and gives the same
        return host.address
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.address, host.port, type=socket.SOCK_STREAM)
    address = str(found[0][4][0])
    literal = host.address in (address, "localhost")
    if not literal and _ours(address):
        raise Unavailable(f"{host.name}: its name leads to {address}, which is not to be reached.")
    return address


def _is_address(text: str) -> bool:
    """Whether it is one, written as the system writes it: then asking gives just that."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, text)) == text
    except (OSError, ValueError):
        return False


def _ours(address: str) -> bool:
    """Whether it is this machine's own, or a service's for it, also as `::ffff:127.0.0.1`."""
    ip = ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    local = ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
    return local or str(ip) in METADATA


@contextmanager
def _renamed(host: Host, login: str) -> Iterator[None]:
    """asyncssh's and the system's errors as sentences; what no one expected is passed on."""
    try:
        yield
    except asyncssh.HostKeyNotVerifiable:
        raise Unavailable(_changed_key(host)) from None
    except asyncssh.KeyExchangeFailed as error:
        if "host key" in str(error):
            raise Unavailable(_changed_key(host)) from None
        raise Unavailable(f"{host.name} and the bastion share no algorithm.") from None
    except asyncssh.PermissionDenied:
        why = "it has no such account, or does not trust the bastion's target CA"
        raise Unavailable(f"{host.name} did not let {login} in: {why}.") from None
    except asyncssh.ChannelOpenError as error:
        raise Unavailable(f"{host.name} refused to start it: {_theirs(error.reason)}") from None
    except TimeoutError:
        raise Unavailable(f"{host.name} did not answer in time.") from None
    except asyncssh.Error as error:
        raise Unavailable(f"{host.name} broke off: {_theirs(error.reason)}") from None
    except socket.gaierror:
        raise Unavailable(f"{host.name}: its address is not known to the DNS.") from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "no connection"
        raise Unavailable(f"{host.name} can't be reached: {reason}.") from None


def _theirs(reason: str) -> str:
    """A target's own words, cut short, with nothing in them that could make a line of ours."""
    return "".join(c if c.isprintable() else "?" for c in reason[:200])


def _changed_key(host: Host) -> str:
    return (
        f"{host.name} does not show the host key that is pinned for it, so nothing was sent there; "
        f"an operator has to look: bastion-admin host check {host.name}"
    )
