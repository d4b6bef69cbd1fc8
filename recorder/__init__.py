"""The recorder: what a session shows is written down before it is shown.

session     one channel, transfer, forward or prompt line; `S-31`. It has exactly one
recording   what was shown, an asciicast file, with a track of what was
sent        by the contractor, encrypted to the auditors. Recordings live in an
archive     a directory by days, which opens, closes, reads and recovers them, and in an
index       a table with one row for each session, from its start on. What is over has a
seal        over its manifest: who, when, and the hashes, each naming the one before.

It is used like this:

    async with archive.record(info) as recording:
        recording.shown(data)       # first
        channel.write(data)         # then

It knows nothing of SSH, of policy or of a command line, and never imports what stands on it.
"""

from recorder.archive import Archive
from recorder.arrears import Arrears
from recorder.asciicast import Stream
from recorder.ceilings import Ceiling, Ceilings, TooMany, Whose
from recorder.cover import Covering
from recorder.database import Database
from recorder.errors import (
    CorruptRecording,
    Covered,
    IndexUnavailable,
    NotCompacted,
    NotSealed,
    RecorderError,
    RecordingFailed,
    RecordingMissing,
    UnusableKey,
)
from recorder.file_rows import FileRow, WantedFiles
from recorder.index import Index, Wanted
from recorder.lines import Line, Place
from recorder.reader import Reader
from recorder.recording import Recording
from recorder.recovery import Recovered
from recorder.seal import Sealing
from recorder.seals import Kept, Seals
from recorder.session import Compaction, EndReason, Kind, Session, SessionInfo, Size, Stored
from recorder.transcript import Transcripts
from recorder.transfers import BEGUN, DONE, Direction, FileEvent, escaped, shown

__all__ = [
    "BEGUN",
    "DONE",
    "Archive",
    "Arrears",
    "Ceiling",
    "Ceilings",
    "Compaction",
    "CorruptRecording",
    "Covered",
    "Covering",
    "Database",
    "Direction",
    "EndReason",
    "FileEvent",
    "FileRow",
    "Index",
    "IndexUnavailable",
    "Kept",
    "Kind",
    "Line",
    "NotCompacted",
    "NotSealed",
    "Place",
    "Reader",
    "RecorderError",
    "Recording",
    "RecordingFailed",
    "RecordingMissing",
    "Recovered",
    "Sealing",
    "Seals",
    "Session",
    "SessionInfo",
    "Size",
    "Stored",
    "Stream",
    "TooMany",
    "Transcripts",
    "UnusableKey",
    "Wanted",
    "WantedFiles",
    "Whose",
    "escaped",
    "shown",
]
