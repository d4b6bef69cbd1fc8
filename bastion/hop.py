"""The inner server: it speaks as the target, keeps door 2, and does what door 3 lets through.

A jump's direct-tcpip channel is not passed on: it is the transport of this server's connection. It
shows a host certificate for the name that was asked for, whether or not the host may be reached,
so that a refusal is spoken where the person hears it: as a banner, inside.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from functools import partial
from typing import cast

import asyncssh
from asyncssh.constants import (
    DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
)
from asyncssh.misc import DisconnectError
from asyncssh.public_key import SSHKey

from bastion import metrics
from bastion.arrival import Arrival, Parts
from bastion.courses import Machine
from bastion.denials import Denial, Reason
from bastion.denials import clock as clock_text
from bastion.doorbook import NOT_KEPT
from bastion.errors import BastionError, Unavailable
from bastion.events import Happened, What
from bastion.lasting import Lasting
from bastion.limits import Limit
from bastion.orders import Orders
from bastion.policy import Ask, Mode, Permit, Run, may_login, promptable
from bastion.prompt import Prompt
from bastion.reached import Case
from bastion.relay import Relay
from bastion.scp import Scp
from bastion.sftp import Proxy
from bastion.third import Third
from bastion.tunnel import Tunnel
from bastion.upstream import Shared, Upstream
from bastion.wire.connections import Authenticator, ServerConnection
from bastion.wire.keys import certificate, plain_key
from recorder import Kind, RecorderError, SessionInfo, Size

log = logging.getLogger(__name__)

PROHIBITED = OPEN_ADMINISTRATIVELY_PROHIBITED

_KINDS = {Mode.SHELL: Kind.SHELL, Mode.EXEC: Kind.EXEC, Mode.SUBSYSTEM: Kind.SFTP}

MOST_NAMES = 10
"""Logins that one jump may try: each refusal is spoken and logged."""


class Hop(Authenticator):
    """The owner of one inner connection."""

    _connection: ServerConnection

    def __init__(self, arrival: Arrival, parts: Parts, gone: Callable[[], None]):
        self._arrival = arrival
        self._parts = parts
        self._lasting = Lasting(parts)
        self._third = Third(arrival, parts, self._lasting)
        self._gone = gone
        self._permit: Permit | None = None
        self._shells = Shared()
        self._forwards = Shared()
        self._lost = False
        self._names = 0

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """The client speaks SSH inside."""
        self._connection = cast(ServerConnection, conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """The jump is over; so is our connection to the target, also one that is being made."""
        self._lost = True
        self._parts.idling.ends(self)
        self._shells.close()
        self._forwards.close()
        self._tell_end()

    def _tell_end(self) -> None:
        """The jump has ended once all that was carried on it is over."""
        if self._lost and not (self._shells.users or self._forwards.users):
            gone, self._gone = self._gone, lambda: None
            gone()

    def met(self, limit: Limit) -> None:
        """Too much is asked for on it."""
        who = self._arrival.identity
        self._parts.reached.note(Case(limit, who.source, who.user.name, self._arrival.asked))

    # Door 2

    def begin_auth(self, username: str) -> bool:
        """Whether a proof is needed. A refusal is spoken, and then no proof will do."""
        self._permit = None
        self._names += 1
        if self._names > MOST_NAMES:
            raise DisconnectError(DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "bastion: too many names")
        answer = self._may_login(username)
        self._count("2", answer)
        if isinstance(answer, Denial):
            self._spoken(answer, f"as {username!r}")
            self._connection.send_auth_banner(f"bastion: {answer.sentence}\r\n")
            return True
        self._permit = answer
        return self._arrival.prove_again

    def auth_completed(self) -> None:
        """From now on this is somebody, as that login."""
        if self._permit is not None:
            self._parts.doorbook.came_in(self._arrival.connection, self._permit.login)
            self._lasting.unused(self, self._connection, self._arrival)

    def _may_login(self, username: str) -> Permit | Denial:
        reach = self._arrival.answer
        if isinstance(reach, Denial):
            return reach
        return may_login(reach, username, self._parts.clock.now())

    async def key_of(self, username: str, key_data: bytes) -> SSHKey | None:
        """The second proof: by the key that signed in outside, bare or in a certificate.

        What the certificate says does not count: that key signs, or it does not.
        """
        if self._permit is None:
            return None
        expected = self._arrival.identity.key.blob
        if key_data == expected:
            return plain_key(key_data)
        offered = certificate(key_data)
        if offered is None or offered.key.public_data != expected:
            return None
        return offered.key

    def signed(self, username: str, key_data: bytes) -> None:
        """It was the same key: nothing new is learnt."""

    # Door 3

    def session_requested(self) -> Relay:
        """A session channel. Connecting begins when its start is asked for."""
        permit = self._permit
        if permit is None:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: not admitted")
        return Relay(partial(self._attend, permit), self._parts.turn)

    async def _attend(self, permit: Permit, relay: Relay, ask: Ask) -> None:
        """From a start request to the end of the session."""
        try:
            run, full = await self._third.may_begin(permit, ask)
            self._count("3", run)
            if isinstance(run, Run):
                await self._lasting.demand_room(run, full)
                await self._carry(relay, permit, run)
            elif run.reason is Reason.MODE and ask.mode is Mode.SHELL and not relay.prompted:
                await self._prompt(relay, permit, run)
            else:
                self._refuse(relay, ask, run)
        except Unavailable as error:
            log.warning("%s: %s", self._arrival, error)
            relay.refuse(str(error))
        except RecorderError as error:
            log.error("%s: %s", self._arrival, error)
            relay.refuse("the recorder can't write, and nothing goes through unrecorded.")
        except BastionError as error:
            log.error("%s: %s", self._arrival, error)
            relay.refuse("the bastion can't do that now; it has been logged.")

    async def _prompt(self, relay: Relay, permit: Permit, denial: Denial) -> None:
        """No shell, but a prompt for the commands that are granted, if any are."""
        offered = promptable(permit, self._parts.clock.now())
        if offered is None:
            self._refuse(relay, Ask(Mode.SHELL), denial)
            return
        grant, granted = offered
        prompt = Prompt(
            relay,
            self._parts.turn,
            partial(self._attend, permit),
            name=f"{permit.login}@{permit.host.name}",
            greeting=f"this is no shell: {grant} until "
            f"{clock_text(grant.closes_at(self._parts.clock.now()))} gives commands, and each line "
            "is judged, run by itself and recorded.",
            granted=tuple(map(str, granted)),
        )
        with self._lasting.prompting(prompt, grant, permit):
            await prompt.run()

    def _refuse(self, relay: Relay, ask: Ask, denial: Denial) -> None:
        self._spoken(denial, f"{ask.mode} {ask.command[:200]!r}")
        relay.refuse(denial.sentence)

    async def _carry(self, relay: Relay, permit: Permit, run: Run) -> None:
        upstream = await self._upstream(run)
        self._shells.users += 1
        try:
            if relay.gone:
                return
            no_more = await self._third.no_more(permit, run)  # connecting took its time
            if no_more is not None:
                self._refuse(relay, run.ask, no_more)
                return
            async with self._lasting.session(self._info(relay, run), run, relay) as recording:
                log.info("%s %s by %s: %s", recording.name, self._arrival, run.grant, run.ask.mode)
                greeting = self._greeting(relay, run, recording.name)
                relay.opened(recording, greeting, _machine(run, self._parts.orders))
                no_more = await self._third.until_watched(relay, recording, permit, run)
                if no_more is not None:
                    self._refuse(relay, run.ask, no_more)
                else:
                    await relay.carry(upstream, run.there, run.command)
        finally:
            self._shells.users -= 1
            self._tell_end()
            unshared = upstream is not self._shells.upstream
            if unshared or self._lost or (relay.was_cut and not self._shells.users):
                upstream.close()

    async def _upstream(self, run: Run) -> Upstream:
        """One for all shells of a jump, one for all forwards; for a forced command, its own."""
        connect = partial(self._connected, run)
        if run.ask.mode is Mode.FORWARD:
            return await self._forwards.connected(connect)
        return await (self._shells.connected(connect) if run.forced is None else connect())

    async def _connected(self, run: Run) -> Upstream:
        loop, meters = asyncio.get_running_loop(), self._parts.meters
        begun, result = loop.time(), "failed"
        try:
            upstream = await self._parts.connector.connect(run, self._arrival.connection)
            result = "connected"
            return upstream
        finally:
            meters.observe(metrics.TARGET, loop.time() - begun, result)

    def _about(self, run: Run, kind: Kind, command: str) -> SessionInfo:
        return SessionInfo(
            connection=self._arrival.connection,
            user=run.identity.user.name,
            grant=run.grant.id,
            host=run.host.name,
            login=run.login,
            kind=kind,
            source=run.identity.source,
            command=command or None,
        )

    def _info(self, relay: Relay, run: Run) -> SessionInfo:
        terminal = None if run.files else relay.terminal
        kind = Kind.PROMPT if relay.prompted else _KINDS[run.ask.mode]
        command = run.command
        if run.scp is not None:
            kind, command = Kind.SCP, run.ask.command
        return replace(
            self._about(run, kind, command.decode("utf-8", "surrogateescape")),
            term=None if terminal is None else terminal.term,
            terminal=None if terminal is None else Size(*terminal.size[:2]),
        )

    def _greeting(self, relay: Relay, run: Run, session: str) -> list[str]:
        """What a shell on a terminal begins with."""
        if run.ask.mode is not Mode.SHELL or relay.terminal is None:
            return []
        ends = clock_text(run.grant.closes_at(self._parts.clock.now()))
        lines = [f"recorded as {session}, {run.grant} until {ends}"]
        return [*lines, self._parts.notice] if self._parts.notice else lines

    # Door 3, at a forward

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Coroutine[object, object, Tunnel]:
        """A forward from the target on, as `ssh -L` and `ssh -D` ask for it (RFC 4254, 7.2)."""
        permit = self._permit
        if permit is None:
            raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: not admitted")
        tunnel = Tunnel((dest_host, dest_port), self._parts.turn)
        ask = Ask(Mode.FORWARD, to=tunnel.to)
        self._parts.crew.start(self._lead(permit, tunnel, ask), f"{self._arrival} forwards")
        return tunnel.answered()

    async def _lead(self, permit: Permit, tunnel: Tunnel, ask: Ask) -> None:
        """From a forward's request to its end; as `_attend`, without anybody to speak to."""
        try:
            run, full = await self._third.may_begin(permit, ask)
            self._count("3", run)
            if isinstance(run, Denial):
                self._not_led(tunnel, run)
            else:
                await self._lasting.demand_room(run, full)
                await self._carry_forward(tunnel, permit, run)
        except Unavailable as error:
            log.warning("%s: %s", self._arrival, error)
            tunnel.refuse(str(error), OPEN_CONNECT_FAILED)
        except BastionError as error:
            log.error("%s: %s", self._arrival, error)
            tunnel.refuse("the bastion can't do that now; it has been logged.")
        except RecorderError as error:
            log.error("%s: %s", self._arrival, error)
            tunnel.refuse("the recorder can't write, and nothing goes through unrecorded.")
        finally:
            tunnel.refuse("something went wrong inside the bastion; it has been logged.")

    def _not_led(self, tunnel: Tunnel, denial: Denial) -> None:
        host, port = tunnel.to
        self._spoken(denial, f"forward to {host[:200]!a}:{port}")
        tunnel.refuse(denial.sentence)

    async def _carry_forward(self, tunnel: Tunnel, permit: Permit, run: Run) -> None:
        upstream = await self._upstream(run)
        self._forwards.users += 1
        try:
            no_more = await self._third.no_more(permit, run)  # connecting took its time
            if no_more is not None:
                self._not_led(tunnel, no_more)
                return
            host, port = tunnel.to
            info = self._about(run, Kind.FORWARD, f"{host}:{port}")
            async with self._lasting.session(info, run, tunnel) as recording:
                log.info("%s %s by %s: forward", recording.name, self._arrival, run.grant)
                tunnel.opened(recording)
                no_more = await self._third.until_watched(tunnel, recording, permit, run)
                if no_more is not None:
                    self._not_led(tunnel, no_more)
                else:
                    await tunnel.carry(upstream, recording)
        finally:
            self._forwards.users -= 1
            self._tell_end()
            if self._lost or (tunnel.was_cut and not self._forwards.users):
                upstream.close()

    # Everything else that a client may ask for inside is refused

    def unix_connection_requested(self, dest_path: str) -> bool:
        """A forward to a socket (PROTOCOL, 2.4)."""
        raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: forwards are not granted")

    def tun_requested(self, unit: int | None) -> bool:
        """A tunnel device (PROTOCOL, 2.3)."""
        raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: tunnels are not granted")

    def tap_requested(self, unit: int | None) -> bool:
        """A tunnel device (PROTOCOL, 2.3)."""
        raise asyncssh.ChannelOpenError(PROHIBITED, "bastion: tunnels are not granted")

    def _count(self, door: str, answer: Permit | Run | Denial) -> None:
        self._parts.meters.count(metrics.ANSWERS, door, counted(answer))

    def _spoken(self, denial: Denial, what: str) -> None:
        """Keep why somebody heard no. Door 1's own answer is with the connection already."""
        arrival = self._arrival
        user = arrival.identity.user.name
        log.info("%s %s to %s %s: %s", arrival, user, arrival.asked, what, denial.reason)
        if denial is arrival.answer or arrival.connection == NOT_KEPT:
            return
        self._parts.chronicle.tell_soon(
            Happened(
                What.DOOR_REFUSED,
                user,
                arrival.identity.source,
                user=user,
                host=arrival.asked,
                connection=arrival.connection,
                why=denial.reason,
                details={"what": what[:1000]},
            )
        )


def counted(answer: object) -> str:
    """A door's answer, as it is counted."""
    return answer.reason if isinstance(answer, Denial) else metrics.GRANTED


def _machine(run: Run, orders: Orders) -> Machine | None:
    """What judges the files of a run, where there are any."""
    if not run.files:
        return None
    proxy = Proxy(run.files, str(run.grant), orders.of(run.host, run.login))
    return proxy if run.scp is None else Scp(run.scp, proxy)
