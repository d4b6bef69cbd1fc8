"""Recordings of sessions that ended days ago, as an installation that is in use has them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from bastion.actor import Actor
from bastion.app import Services
from bastion.sealing import covering, sealing
from recorder import Archive, Kind, Session, SessionInfo
from tests.cli.desks import Installation

DAY = timedelta(days=1)


def retain(installation: Installation, keep: str, *rules: tuple[str, str]) -> None:
    """Let `[retention]` say this: a default, and rules of a host and a time each."""
    settings = installation.home.settings
    before, _, behind = settings.read_text().partition("[retention]\n")
    behind = behind[behind.index("\n[") :]
    told = "".join(f'[[retention.rule]]\nhosts = ["{h}"]\nkeep = "{k}"\n' for h, k in rules)
    settings.write_text(f'{before}[retention]\nkeep = "{keep}"\n{told}{behind}')


async def ended_ago(
    services: Services, days: float, *, host: str = "web-1", text: bytes = b"hello\r\n"
) -> Session:
    """A session of alice's, sealed, that ended so many days ago."""
    then, wanted = datetime.now(UTC) - days * DAY, services.settings.recording
    recordings = services.settings.recordings(services.home)
    archive = Archive(
        recordings,
        services.index,
        recipients=wanted.auditors,
        limit=1 << 20,
        now=lambda: then,
        sealing=sealing(
            recordings,
            services.index,
            services.seals,
            authority=services.authority,
            journal=services.journal,
            service=Actor("bastion"),
            now=lambda: then,
            covering=covering(wanted.auditors, wanted.marks) if wanted.encrypt else None,
        ),
    )
    info = SessionInfo(31, "alice", 1, host, "deploy", Kind.EXEC, "192.0.2.7", "uname")
    async with archive.record(info) as recording:
        recording.shown(text)
        recording.sent(b"secret\n")
        recording.exited(0)
    found = services.index.get(recording.session)
    assert found is not None
    return found


def files_of(installation: Installation, session: Session) -> list[str]:
    """The names of all files of a session."""
    cast = installation.home.directory / "recordings" / session.recording.path
    return sorted(file.name for file in cast.parent.glob(f"{cast.stem}.*"))


def cast_of(installation: Installation, session: Session) -> Path:
    """Its recording."""
    return installation.home.directory / "recordings" / session.recording.path
