"""Public keys as they are on the wire, of any kind and without a private half."""

import base64
import hashlib

from bastion.authority.public_keys import read_public_key
from bastion.inventory import PublicKey


def wire_key(name: str, *, hardware: bool = False) -> PublicKey:
    """A key that every library takes, the same for the same name."""
    point = hashlib.sha256(name.encode()).digest()
    algorithm = b"sk-ssh-ed25519@openssh.com" if hardware else b"ssh-ed25519"
    parts = (algorithm, point, b"ssh:") if hardware else (algorithm, point)
    blob = b"".join(len(part).to_bytes(4) + part for part in parts)
    return read_public_key(f"{algorithm.decode()} {base64.b64encode(blob).decode()} {name}")
