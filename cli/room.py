"""Room on the disk for what is written beside the recordings: it must not take theirs."""

from pathlib import Path

from bastion.config import Settings
from bastion.durations import format_size
from bastion.errors import Conflict, Unavailable
from bastion.home import Home
from recorder.space import Marks, disk_of


def demand_room(settings: Settings, home: Home, size: int, output: Path, what: str) -> None:
    """Raises Conflict where `what` (as in "The pack") of so many bytes would take too much.

    Raises Unavailable where the disk of `output` can't be looked at.
    """
    recordings = settings.recordings(home)
    try:
        disk, kept = disk_of(output.parent), 0
        if output.parent.stat().st_dev == recordings.stat().st_dev:
            of = settings.recording
            marks = Marks(of.low_water, of.reserve, of.emergency_reserve).fitted(disk.total)
            kept = marks.low
    except OSError as error:
        raise Unavailable(f"{str(output)!a} can't be written: {error.strerror}.") from None
    if disk.free - size < kept:
        raise Conflict(
            f"{what} needs {format_size(size)}, and of {format_size(disk.free)} that are free "
            f"there {format_size(kept)} are kept for recordings: make room, or name another disk."
        )
