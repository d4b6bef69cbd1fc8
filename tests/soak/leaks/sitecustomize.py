"""A bastion that leaks, for a program that is started with this directory in PYTHONPATH.

Each session leaves a descriptor in the process that carried it, and each that was brought into the
text index a hundred kilobytes in the steward.
"""

import os
from contextlib import suppress
from functools import wraps

kept: list[bytes] = []

with suppress(ImportError):
    from recorder.archive import Archive
    from recorder.fts import SqliteTexts

    _finish, _write = Archive.finish, SqliteTexts.write

    @wraps(_finish)
    async def finish(*args, **kwargs):  # type: ignore[no-untyped-def]
        """As Archive.finish."""
        os.dup(2)
        return await _finish(*args, **kwargs)

    @wraps(_write)
    def write(self, updates):  # type: ignore[no-untyped-def]
        """As SqliteTexts.write."""
        kept.extend(os.urandom(100_000) for _ in updates)
        _write(self, updates)

    Archive.finish = finish  # type: ignore[method-assign]
    SqliteTexts.write = write  # type: ignore[method-assign]
