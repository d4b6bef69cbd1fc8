"""The settings of limits: `[limits]`, and who may say where a connection comes from, `[proxy]`."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import BeforeValidator, Field

from bastion.addresses import Sharing, parse_network
from bastion.admission import Places, Startups, parse_startups
from bastion.errors import BadInput
from bastion.setting_types import Count, Ending, Lifetime, Seconds, Size
from bastion.toml_model import Part, text
from recorder.ceilings import Ceilings


def startups(value: object) -> Startups:
    """`START:RATE:FULL` between quotes, or a number without."""
    if isinstance(value, Startups):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f'write START:RATE:FULL, as in "100:30:200" (it is {str(value)[:60]!a})')
    try:
        return parse_startups(str(value))
    except BadInput as error:
        raise ValueError(str(error)) from None


Startup = Annotated[Startups, BeforeValidator(startups)]
Network = Annotated[IPv4Network | IPv6Network, text(parse_network)]
Networks = Annotated[tuple[Network, ...], Field(max_length=100)]


class Limits(Part):
    """`[limits]`: waits in seconds (written as durations), and counts.

    `without_database` is how long live sessions go on when the database does not answer,
    `watch_wait` how long one that somebody has to watch waits for that. A process of several that
    gives no sign for `stalled` is killed. A session in which nothing moves for `idle` ends (None:
    never), a peer that does not answer for `dead` is gone.

    Of connections, those that are `unauthenticated` and all, together and by network of their
    source: who shares that many bits of an address is one network; and by user. After so many
    failed sign-ins a network is refused for a while, up to `longest_refusal`; those `never_refused`
    are not. All processes of a machine count these together; sessions are counted in the database,
    for all processes and machines that it serves. `channels` and `requests` in a minute are a
    connection's, bytes `in_flight` those of a process.
    """

    connect_timeout: Seconds = 10.0
    login_grace: Seconds = 30.0
    without_database: Seconds = 300.0
    drain: Seconds = 10.0
    watch_wait: Lifetime = timedelta(minutes=10)
    stalled: Seconds = 15.0
    idle: Ending = timedelta(hours=12)
    dead: Seconds = 60.0
    connections: Count = 4000
    connections_per_source: Count = 1000
    connections_per_user: Count = 500
    unauthenticated: Startup = Startups(300, 30, 600)
    unauthenticated_per_source: Startup = Startups(100, 30, 200)
    failures_per_source: Count = 50
    longest_refusal: Seconds = 600.0
    never_refused: Networks = ()
    source_bits_v4: Annotated[int, Field(strict=True, ge=8, le=32)] = 32
    source_bits_v6: Annotated[int, Field(strict=True, ge=16, le=128)] = 64
    channels: Count = 256
    requests: Count = 6000
    in_flight: Size = 2**31
    sessions: Count = 10_000
    sessions_per_user: Count = 500
    sessions_per_grant: Count = 500
    sessions_per_host: Count = 1000

    @property
    def places(self) -> Places:
        """How many connections there may be."""
        return Places(
            self.connections,
            self.connections_per_source,
            self.unauthenticated,
            self.unauthenticated_per_source,
            self.connections_per_user,
        )

    @property
    def ceilings(self) -> Ceilings:
        """How many sessions may go on."""
        return Ceilings(
            self.sessions, self.sessions_per_user, self.sessions_per_grant, self.sessions_per_host
        )

    @property
    def sharing(self) -> Sharing:
        """What is one network."""
        return Sharing(self.source_bits_v4, self.source_bits_v6)


class ProxySettings(Part):
    """`[proxy]`: from these networks a header of the PROXY protocol, version 2, has to come before
    anything else, within `wait`; from nobody else one is read."""

    balancers: Networks = ()
    wait: Seconds = 3.0
