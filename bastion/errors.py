"""What can go wrong, as a handful of exceptions with a sentence each.

A refusal by policy is not here: it is an answer (`denials.Denial`), not an exception.
Each class carries the exit status that the command line gives for it. The text of an
exception is always a whole sentence for the person who reads it: what is wrong, what to do.
"""


class BastionError(Exception):
    """The base of all errors of ours; never raised itself."""

    exit_status = 1


class BadInput(BastionError):
    """What a person gave can't be taken as it stands; the sentence says why and what would do."""

    exit_status = 2


class NotFound(BastionError):
    """A user, host, grant, session or key that was named does not exist."""


class Conflict(BastionError):
    """It can't be done in the present state: it exists already, it has ended, it is in use."""


class Refused(BastionError):
    """It may not be done, by this person or at all."""


class Unavailable(BastionError):
    """Something that is needed is away: the database, the disk, a key, a target."""


class Misconfigured(BastionError):
    """The home directory, a setting or a key file is wrong; the sentence names the mend."""


def single(error: Exception) -> Exception:
    """What a task group has wrapped, if it is one thing."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
