"""age, as the recorder needs it: a secret or a file, hidden for some and opened by one of them.

The one place that knows pyrage; its errors become UnusableKey here.
Source: https://age-encryption.org/v1
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyrage  # type: ignore[import-untyped]

from recorder.errors import CorruptRecording, UnusableKey

_DECRYPT_IT = "decrypt a copy in a safe place"


@dataclass(frozen=True, slots=True)
class Recipient:
    """An auditor's public key. Made by `recipient`."""

    text: str
    key: object


@dataclass(frozen=True, slots=True)
class Identity:
    """An auditor's private keys, of which one has to fit. Made by `identity`."""

    keys: tuple[object, ...]


def generate() -> tuple[str, str]:
    """A new identity for an auditor: `AGE-SECRET-KEY-…`, and the `age1…` that belongs to it."""
    new = pyrage.x25519.Identity.generate()
    return str(new), str(new.to_public())


def recipient(text: str) -> Recipient:
    """A public key: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`. Raises UnusableKey."""
    text = text.strip()
    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return Recipient(text, kind.from_str(text))
    except pyrage.RecipientError as error:
        raise UnusableKey(f"{text!r} is not an age recipient (age1…): {error}") from error


def identity(text: str) -> Identity:
    """Private keys: lines `AGE-SECRET-KEY-…`, or an OpenSSH key without a passphrase.

    Other lines are skipped, as in the files that age-keygen writes. Raises UnusableKey.
    """
    if "AGE ENCRYPTED FILE" in text or text.startswith("age-encryption.org/"):
        raise UnusableKey(f"this identity is itself encrypted: {_DECRYPT_IT} with age -d")
    if "PRIVATE KEY" in text:
        return Identity((_ssh_identity(text),))
    lines = [line for line in text.split() if line.startswith("AGE-SECRET-KEY-")]
    if "AGE-PLUGIN-" in text and not lines:
        raise UnusableKey(
            "this identity is one of a plugin (AGE-PLUGIN-…), which only age itself can use"
        )
    try:
        return Identity(tuple(map(pyrage.x25519.Identity.from_str, lines or [""])))
    except pyrage.IdentityError as error:
        raise UnusableKey("this is not an age identity (AGE-SECRET-KEY-…)") from error


def _ssh_identity(text: str) -> object:
    try:
        return pyrage.ssh.Identity.from_buffer(text.encode())
    except pyrage.IdentityError as error:
        if "decrypted" in str(error) or "Encrypted" in str(error):
            raise UnusableKey(
                f"this SSH key has a passphrase: {_DECRYPT_IT} with ssh-keygen -p -N ''"
            ) from error
        raise UnusableKey("of SSH keys, only ed25519 and RSA can be an identity") from error


def hide(secret: bytes, recipients: Sequence[Recipient]) -> bytes:
    """The secret, for any one of the recipients to open."""
    return bytes(pyrage.encrypt(secret, [recipient.key for recipient in recipients]))


def reveal(hidden: bytes, who: Identity) -> bytes:
    """The secret. Raises UnusableKey if it was not hidden for `who`."""
    try:
        return bytes(pyrage.decrypt(hidden, list(who.keys)))
    except pyrage.DecryptError as error:
        raise UnusableKey("this identity does not open this track") from error


class Source(Protocol):
    """What is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""


class Sink(Protocol):
    """What is written to."""

    def write(self, data: bytes, /) -> object:
        """All of it."""


def one_off() -> tuple[Recipient, Identity]:
    """A key that is nowhere but in this process: what was hidden is read back with it."""
    new = pyrage.x25519.Identity.generate()
    return Recipient(str(new.to_public()), new.to_public()), Identity((new,))


def hide_all(source: Source, sink: Sink, recipients: Sequence[Recipient]) -> None:
    """All of `source`, hidden as a file of age's. Raises what the two raise."""
    ends = _Ends(source, sink)
    try:
        pyrage.encrypt_io(ends, ends, [recipient.key for recipient in recipients])
    except (pyrage.EncryptError, OSError) as error:
        raise ends.failure or error from None
    if ends.failure is not None:  # pyrage has a place where it overlooks one
        raise ends.failure


def reveal_all(source: Source, sink: Sink, who: Identity) -> None:
    """All that a file of age's hides. Raises UnusableKey, CorruptRecording, what the two raise."""
    ends = _Ends(source, sink)
    try:
        pyrage.decrypt_io(ends, ends, list(who.keys))
    except (pyrage.DecryptError, OSError) as error:
        if ends.failure is not None:
            raise ends.failure from None
        if "No matching keys" in str(error):
            raise UnusableKey("this identity does not open this recording") from error
        raise CorruptRecording("it was changed or cut, or is no file of age's") from error
    if ends.failure is not None:
        raise ends.failure


class _Ends:
    """Both ends, as pyrage wants them. It makes texts of what they raise: the first is kept."""

    def __init__(self, source: Source, sink: Sink) -> None:
        self.failure: BaseException | None = None
        self._source = source
        self._sink = sink

    def read(self, size: int) -> bytes:
        try:
            return self._source.read(size)
        except BaseException as error:
            self.failure = self.failure or error
            raise OSError from error

    def write(self, data: bytes) -> int:
        try:
            self._sink.write(data)
        except BaseException as error:
            self.failure = self.failure or error
            raise OSError from error
        return len(data)

    def flush(self) -> None:
        pass
