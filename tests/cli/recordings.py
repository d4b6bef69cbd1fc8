"""Recordings for tests of the command line."""

from recorder import Archive, EndReason, Kind, SessionInfo, Size, Stream


def session(kind: Kind, command: str | None) -> SessionInfo:
    """One of alice's, on web-1."""
    return SessionInfo(
        connection=31,
        user="alice",
        grant=1,
        host="web-1",
        login="deploy",
        kind=kind,
        source="192.0.2.7",
        command=command,
        terminal=Size(80, 24) if kind is Kind.SHELL else None,
    )


async def recorded(archive: Archive, kind: Kind, command: str | None) -> None:
    """A session that showed two lines, was sent one, and ended."""
    async with archive.record(session(kind, command)) as recording:
        recording.shown(b"hello\r\n\x1b]0;title\x07")
        recording.shown(b"\xff\xfe oops\r\n", Stream.ERR)
        recording.sent(b"secret\n")
        recording.end(EndReason.CLOSED)
