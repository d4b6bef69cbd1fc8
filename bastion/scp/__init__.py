"""The legacy scp protocol, as `scp -O` speaks it, answered here: the target is spoken to in SFTP.

    command   one `scp -t` (put) or `scp -f` (get), recognised by its whole argv
    records   the lines of the protocol as values
    client    the side that speaks scp: what has come from it, and what goes there
    remote    the side that speaks SFTP, behind the machine that judges files
    sink      what `scp -t` does: it takes files from the client
    source    what `scp -f` does: it gives them
    machine   the one of both that is asked for, fed with bytes

So no path is judged here, and no program is run on the target: what asks for a file is the same
machine that does it for sftp. The protocol has no document; what is said of OpenSSH is from its
`scp.c`, `source` and `sink`.
"""

from bastion.scp.command import ScpRun, Way, recognise
from bastion.scp.machine import Scp

__all__ = ["Scp", "ScpRun", "Way", "recognise"]
