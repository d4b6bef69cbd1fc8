"""The authority: reading keys, keeping the bastion's own, signing certificates. Its words:

**public key**: what people hand in, read strictly. **key files**: the private halves in `keys/`.
**certificate**: signed here for a user, a target's connection or a host, and decoded again before
it leaves. asyncssh's keys go in and out here; the other rooms carry `inventory.PublicKey`.
"""

from bastion.authority.authority import Authority, HostKeys, TargetCredential, certify_host
from bastion.authority.keyfiles import Which, make_keys
from bastion.authority.keyring import Elsewhere, Generations, key_problems
from bastion.authority.public_keys import read_public_key, read_public_key_file
from bastion.authority.signer import Signer

__all__ = [
    "Authority",
    "Elsewhere",
    "Generations",
    "HostKeys",
    "Signer",
    "TargetCredential",
    "Which",
    "certify_host",
    "key_problems",
    "make_keys",
    "read_public_key",
    "read_public_key_file",
]
