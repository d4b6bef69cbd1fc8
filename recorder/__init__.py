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

A room is opened when somebody first asks for what is in it: who needs a word of `session` does not
load a database.

It knows nothing of SSH, of policy or of a command line, and never imports what stands on it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from recorder.archive import Archive as Archive
    from recorder.arrears import Arrears as Arrears
    from recorder.asciicast import Stream as Stream
    from recorder.ceilings import (
        Ceiling as Ceiling,
        Ceilings as Ceilings,
        TooMany as TooMany,
        Whose as Whose,
    )
    from recorder.cover import Covering as Covering
    from recorder.database import Database as Database
    from recorder.errors import (
        CorruptRecording as CorruptRecording,
        Covered as Covered,
        IndexUnavailable as IndexUnavailable,
        NotCompacted as NotCompacted,
        NotSealed as NotSealed,
        RecorderError as RecorderError,
        RecordingFailed as RecordingFailed,
        RecordingMissing as RecordingMissing,
        UnusableKey as UnusableKey,
    )
    from recorder.file_rows import FileRow as FileRow, WantedFiles as WantedFiles
    from recorder.index import Index as Index, Wanted as Wanted
    from recorder.lines import Line as Line, Place as Place
    from recorder.reader import Reader as Reader
    from recorder.recording import Recording as Recording
    from recorder.recovery import Recovered as Recovered
    from recorder.seal import Sealing as Sealing
    from recorder.seals import Kept as Kept, Seals as Seals
    from recorder.session import (
        Compaction as Compaction,
        EndReason as EndReason,
        Kind as Kind,
        Session as Session,
        SessionInfo as SessionInfo,
        Size as Size,
        Stored as Stored,
    )
    from recorder.transcript import Transcripts as Transcripts
    from recorder.transfers import (
        BEGUN as BEGUN,
        DONE as DONE,
        Direction as Direction,
        FileEvent as FileEvent,
        escaped as escaped,
        shown as shown,
    )

_ROOMS: Final = {
    "archive": "Archive",
    "arrears": "Arrears",
    "asciicast": "Stream",
    "ceilings": "Ceiling Ceilings TooMany Whose",
    "cover": "Covering",
    "database": "Database",
    "errors": "CorruptRecording Covered IndexUnavailable NotCompacted NotSealed RecorderError "
    "RecordingFailed RecordingMissing UnusableKey",
    "file_rows": "FileRow WantedFiles",
    "index": "Index Wanted",
    "lines": "Line Place",
    "reader": "Reader",
    "recording": "Recording",
    "recovery": "Recovered",
    "seal": "Sealing",
    "seals": "Kept Seals",
    "session": "Compaction EndReason Kind Session SessionInfo Size Stored",
    "transcript": "Transcripts",
    "transfers": "BEGUN DONE Direction FileEvent escaped shown",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        """What is asked for by that name; `_ROOMS` says where it is."""
        for room, names in _ROOMS.items():
            if name in names.split():
                return getattr(import_module(f"recorder.{room}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
