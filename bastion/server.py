"""The front of the house: what answers every connection that is made to the bastion.

It puts the doors together, once; what they ask and answer is their own.
"""

import asyncio
from collections.abc import Callable

import asyncssh

from bastion.arrival import Parts
from bastion.authority import Authority
from bastion.console import Verbs
from bastion.control import Control
from bastion.doorstep import Doorstep, Place, Threshold
from bastion.failures import Failures
from bastion.gate import Gate
from bastion.outer import Doors, Outer
from bastion.rules import Rules
from bastion.signin import SignIn
from bastion.wire.connections import VERSION, ServerConnection, answering, shared_options
from bastion.workers import Workers

SIGNATURES = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""How a contractor may sign: nothing with SHA-1, no DSA."""


def server_options(
    authority: Authority, login_grace: float, dead: float
) -> asyncssh.SSHServerConnectionOptions:
    """One set for the outer and the inner connections; an inner one brings its own certificate.

    `login_grace` is in seconds, from connecting to being somebody; whoever has not answered for
    `dead` seconds is gone.
    """
    return asyncssh.SSHServerConnectionOptions(
        **shared_options(),
        server_version=VERSION,
        server_host_keys=[authority.host_key_with_certificate],
        signature_algs=SIGNATURES,
        login_timeout=login_grace,
        **answering(dead),
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        x11_forwarding=False,
        agent_forwarding=False,
        allow_scp=False,
        line_editor=False,
        encoding=None,
    )


class Front:
    """Answers every connection that is made to the bastion. Made in the loop that serves.

    `workers` run the control plane's verbs, apart from the threads that the doors need.
    `login_grace` and `dead` are in seconds, as in `server_options`; `rules` are those in force.
    """

    def __init__(
        self,
        parts: Parts,
        authority: Authority,
        control: Control,
        *,
        workers: Workers,
        threshold: Threshold,
        failures: Failures,
        login_grace: float,
        dead: float,
        rules: Callable[[], Rules],
    ):
        loop = asyncio.get_running_loop()
        self._authority = authority
        self._turn = parts.turn
        self._bounds = parts.bounds
        self._options = server_options(authority, login_grace, dead)
        sign_in = SignIn(parts.store, authority, parts.clock)
        self._doors = Doors(
            sign_in=sign_in,
            gate=Gate(parts, authority, self._options, loop, rules),
            verbs=Verbs(control, workers, sign_in.still),
            threshold=threshold,
            failures=failures,
            live=parts.live,
            clock=parts.clock,
            meters=parts.meters,
            idling=parts.idling,
            idle=parts.unused,
            loop=loop,
        )

    def connection(self) -> Doorstep:
        """The protocol for one more connection."""
        return Doorstep(self._doors.threshold, self._answer)

    def _answer(self, place: Place) -> ServerConnection:
        """What speaks SSH to it. It shows the host certificate that there is now."""
        doors = self._doors
        return ServerConnection(
            doors.loop,
            self._options,
            self._turn,
            lambda: Outer(doors, place),
            self._authority.host_keys_outside(),
            bounds=self._bounds,
        )
