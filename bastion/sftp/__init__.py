"""SFTP on its way through: read, judged, handed on, told. Nothing here knows a network or a loop.

    fields    what packets are made of (draft-ietf-secsh-filexfer-02, sections 3 and 5)
    packets   a client's requests as values
    answers   a target's responses as values
    framer    whole packets out of bytes that come in any slices
    limits    a target's limits, made no larger than ours
    judge     what a grant's files say to an operation on real paths
    opened    what is open, and what went over in it: how much, its SHA-256
    output    what is to be done about what came in
    flows     an operation on paths in steps: resolved on the target, judged, done, told
    handles   an operation on what is open
    order     which sessions may be among a target's paths at a time
    lane      the flows of one session: one after another, each in its turn in the order
    proxy     the machine between a client and a target

Paths and names are bytes: nothing on a target needs to be UTF-8.
"""

from bastion.sftp.output import Output
from bastion.sftp.proxy import Proxy

__all__ = ["Output", "Proxy"]
