"""What can go wrong in the recorder: one base that is never raised, a handful below it.

Every message is one sentence for a person, without a traceback's help.
"""


class RecorderError(Exception):
    """Any failure of the recorder; never raised itself, so that it can be caught as one."""


class RecordingFailed(RecorderError):
    """The recording cannot be written any more: what it belongs to has to end."""


class RecordingMissing(RecorderError):
    """A session's row is there, its file is not."""


class CorruptRecording(RecorderError):
    """A file that is not what the recorder wrote: it names the file and the place."""


class NotSealed(RecorderError):
    """A recording could not be sealed now; it is tried again."""


class NotLetGo(RecorderError):
    """A recording could not be let go now; nothing of it was taken away, or not all yet."""


class NotHere(NotLetGo):
    """Another machine has recorded it, and has its files: it is for that one to let it go."""


class LetGo(RecorderError):
    """A recording was let go: its tombstone and its seal are all there is."""


class NotCompacted(RecorderError):
    """A recording could not be compacted now; it is tried again."""


class IndexUnavailable(RecorderError):
    """The database could not be asked, or did not take what was written."""


class ConnectionLost(IndexUnavailable):
    """The database went away while it was asked: nobody knows what it would have said."""


class NotTaken(IndexUnavailable):
    """The database answered: it does not take what was written, however often it is tried."""


class UnusableKey(RecorderError):
    """An age recipient or identity that cannot be read, or that does not open this track."""


class BadPattern(RecorderError):
    """A pattern of what is to be redacted that is none, or that is too long."""


class NotCovered(RecorderError):
    """A recording could not be encrypted now; it is tried again."""


class SomebodyIsAtIt(NotCovered):
    """Another process is about to do it."""


class Covered(RecorderError):
    """A recording is encrypted to the auditors, and nobody has handed in an identity."""


class StoreAway(RecorderError):
    """The object store could not be asked, or did not take what it was given; it is tried again."""


class OtherBytes(RecorderError):
    """The object store has other bytes under a name than those that lie here."""


class NotAdopted(RecorderError):
    """A recording of a machine that is gone could not be put together from the store."""


class NotYetStored(RecordingMissing):
    """Another machine has recorded it, and it is not in the object store yet."""
