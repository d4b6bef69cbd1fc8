"""Who are you: whose key this is, and whether that is somebody still.

An offered certificate counts as its key's, where the ledger knows it whole; what it allows comes
from the ledger and from nowhere else. Everything here blocks; nothing is remembered.
"""

import hashlib
from dataclasses import replace

from asyncssh.public_key import SSHKey, SSHOpenSSHCertificate

from bastion import names
from bastion.authority import Authority
from bastion.clock import Clock
from bastion.errors import BadInput
from bastion.inventory import User
from bastion.policy import Identity
from bastion.store import Store
from bastion.wire.keys import certificate, plain_key


class SignIn:
    """What the store and the authority know of those who knock. Each call raises Unavailable."""

    def __init__(self, store: Store, authority: Authority, clock: Clock):
        self._store = store
        self._authority = authority
        self._clock = clock

    def known(self, username: str, key_data: bytes, source: str) -> tuple[SSHKey, Identity] | None:
        """The key that must have signed, and whose it is; None where these data open nothing."""
        key = plain_key(key_data) or self._certified_key(key_data)
        user = None if key is None else self._store.owner_of(key.public_data)
        if key is None or user is None or not user.may_sign_in(self._clock.now()):
            return None
        if self._another(username, user):
            return None
        enrolled = next((k for k in user.keys if k.blob == key.public_data), None)
        if enrolled is None:
            return None
        called = None if username.lower() == user.name else username
        return key, Identity(user, enrolled, source, called=called)

    def still(self, identity: Identity) -> Identity | None:
        """Who it is now: the account, the key or a role may have been taken away since."""
        user = self._store.user(identity.user.name)
        if user is None or not user.may_sign_in(self._clock.now()):
            return None
        enrolled = any(key.blob == identity.key.blob for key in user.keys)
        return replace(identity, user=user) if enrolled and not self._clock.behind() else None

    def _certified_key(self, key_data: bytes) -> SSHKey | None:
        """The key of a certificate that is, byte for byte, one of the ledger's."""
        offered = certificate(key_data)
        if not isinstance(offered, SSHOpenSSHCertificate) or not offered.principals:
            return None
        signer = offered.signing_key.public_data
        entry = self._store.certificate_with(hashlib.sha256(key_data).hexdigest())
        if entry is None or signer not in self._authority.user_ca_blobs:
            return None
        if entry.fingerprint != offered.key.get_fingerprint():
            return None
        return offered.key

    def _another(self, username: str, user: User) -> bool:
        """Whether the name that was typed is another user's."""
        try:
            typed = names.user_name(username)
        except BadInput:
            return False
        return typed != user.name and self._store.user(typed) is not None
