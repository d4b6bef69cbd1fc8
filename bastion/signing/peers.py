"""Peers: who is at the other end of a unix socket."""

import socket
import struct


def peer_of(peer: socket.socket) -> tuple[int, int]:
    """The process and the account at the other end, as the kernel says (unix(7), SO_PEERCRED)."""
    found = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", found)
    return pid, uid
