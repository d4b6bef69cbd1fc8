"""Limits: what each is called, and what somebody hears who meets one. Pure.

Each but two is named as its setting in `[limits]`; docs/limits.md has them all, with what they
are for.
"""

from enum import StrEnum


class Limit(StrEnum):
    """What has run out, for the log and for the numbers."""

    CONNECTIONS = "connections"
    CONNECTIONS_PER_SOURCE = "connections_per_source"
    CONNECTIONS_PER_USER = "connections_per_user"
    UNAUTHENTICATED = "unauthenticated"
    UNAUTHENTICATED_PER_SOURCE = "unauthenticated_per_source"
    FAILURES_PER_SOURCE = "failures_per_source"
    LOGIN_GRACE = "login_grace"
    PROXY = "proxy"
    """A balancer did not say who is behind it."""

    CHANNELS = "channels"
    REQUESTS = "requests"
    IN_FLIGHT = "in_flight"
    IDLE = "idle"
    DEAD = "dead"
    SESSIONS = "sessions"
    SESSIONS_PER_USER = "sessions_per_user"
    SESSIONS_PER_GRANT = "sessions_per_grant"
    SESSIONS_PER_HOST = "sessions_per_host"


TURNED_AWAY = {
    Limit.CONNECTIONS: "too many connections are open; try again later",
    Limit.CONNECTIONS_PER_SOURCE: "too many connections from your network are open; end some first",
    Limit.UNAUTHENTICATED: "too many connections are signing in; try again in a moment",
    Limit.UNAUTHENTICATED_PER_SOURCE: "too many connections from your network are signing in; try "
    "again in a moment",
    Limit.FAILURES_PER_SOURCE: "too many sign-ins from your network have failed; wait for {wait}",
}
"""What somebody hears for whom there is no place."""

TOO_MANY_OF_USER = "you have as many connections open as you may, {most}; end one first"
"""What somebody hears who has signed in once more than a user may."""

CROWDED = {
    Limit.SESSIONS: "the bastion carries as many sessions as it may; try again later.",
    Limit.SESSIONS_PER_USER: "you have as many sessions open as you may, {most}; end one first.",
    Limit.SESSIONS_PER_GRANT: "{grant} has as many sessions open as it may, {most}; end one first.",
    Limit.SESSIONS_PER_HOST: "{host} has as many sessions open as it may; try again later.",
}
"""What somebody hears for whose session there is no place."""
