"""Keys and certificates out of what a stranger sends before anybody knows who it is.

asyncssh says KeyImportError to what is no key; to what is nearly one, whatever its parts raise: a
curve that does not exist, a point beside its curve, a number that is negative. All of it is None.
"""

from asyncssh.public_key import (
    KeyImportError,
    SSHCertificate,
    SSHKey,
    decode_ssh_certificate,
    decode_ssh_public_key,
)

_NO_KEY = (KeyImportError, ValueError, ArithmeticError)


def plain_key(data: bytes) -> SSHKey | None:
    """The public key (RFC 4253 section 6.6) that `data` is."""
    try:
        return decode_ssh_public_key(data)
    except _NO_KEY:
        return None


def certificate(data: bytes) -> SSHCertificate | None:
    """The certificate (PROTOCOL.certkeys) that `data` is; its signature says who made it."""
    try:
        return decode_ssh_certificate(data)
    except _NO_KEY:
        return None
