"""Backups: a home in one file, and a home made of one.

members     what may be in it, and how each begins;  pouring  bytes on their way to the file
gathering   what goes in: a copy of the database, and the files of that moment
packing     the tar, its sums, their signature
unpacking   reads one as it comes, and takes nothing but what may be in it
checking    everything is looked at before anything is written;  placing  writes it
making      `backup`;  restoring  `restore`;  shut  takes back all access

It is a tar within zstd within age: `age -d | zstd -d | tar -x` reads it without us.
"""

from cli.backup.making import backup
from cli.backup.restoring import restore
from cli.backup.shut import shut

__all__ = ["backup", "restore", "shut"]
