"""The judge of revocation lists: `ssh-keygen -Q`, with what they must and must not refuse.

What it is shown are public keys, and certificates that are made for it: for a key that nobody has,
good for one second in 1970. The list says no more about any certificate than about these.
"""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import asyncssh

from bastion.authority import Signer
from bastion.authority.certificates import issue, probe_order
from bastion.authority.public_keys import line_of, public_key_of
from bastion.errors import Unavailable
from bastion.inventory import PublicKey
from bastion.krl import LARGEST, Krl, Ranges, decode

PATIENCE = 20.0
"""Seconds that ssh-keygen may take."""

MOST_AT_ONCE = 200
"""Files that one ssh-keygen judges."""


def judge(file: Path, krl: Krl, live: Iterable[Signer], retired: Iterable[PublicKey]) -> None:
    """Raises Unavailable unless the list in `file` is `krl` and OpenSSH takes it as it was meant.

    It must let the `live` CAs pass and what they sign, but for the serials that it names, and
    must refuse the `retired`.
    """
    if decode(file.read_bytes()) != krl:
        raise Unavailable(f"The new revocation list {file} reads otherwise than it was meant.")
    good: list[str] = []
    bad = [line_of(key) for key in retired]
    for ca in live:
        ranges = krl.serials.get(ca.public.blob, ())
        ends = {serial for pair in (*ranges[:1], *ranges[-1:]) for serial in pair}
        good += [line_of(ca.public), _probe(ca, LARGEST), _probe(ca, _first_without(ranges))]
        bad += [_probe(ca, serial) for serial in ends]
    with tempfile.TemporaryDirectory(prefix="krl-") as place:
        wanted = {_put(place, number, line): False for number, line in enumerate(good)}
        wanted |= {_put(place, number, line): True for number, line in enumerate(bad, len(good))}
        if _asked(file, list(wanted)) != wanted:
            raise Unavailable(
                "ssh-keygen -Q judges the new revocation list otherwise than it was meant."
            )


def _probe(ca: Signer, serial: int) -> str:
    """A certificate to judge with: for a key that nobody has, and for one second in 1970."""
    key = public_key_of(asyncssh.generate_private_key("ssh-ed25519"))
    return issue(ca, probe_order(key, serial)).line


def _first_without(ranges: Ranges) -> int:
    number = 1
    for low, high in ranges:
        if number < low:
            break
        number = min(high + 1, LARGEST)
    return number


def _put(place: str, number: int, line: str) -> Path:
    """A file of one line, without a comment: ssh-keygen would repeat it."""
    file = Path(place) / f"{number}.pub"
    file.write_text(" ".join(line.split(" ")[:2]) + "\n")
    return file


def _asked(krl: Path, files: list[Path]) -> dict[Path, bool]:
    """Which of the files the list refuses, as ssh-keygen says. Raises Unavailable."""
    told: dict[Path, bool] = {}
    for at in range(0, len(files), MOST_AT_ONCE):
        asked = files[at : at + MOST_AT_ONCE]
        lines = _keygen("-Q", "-f", str(krl), *map(str, asked)).splitlines()
        for file, line in zip(asked, lines, strict=False):
            if line.startswith(str(file)) and line.endswith((": ok", ": REVOKED")):
                told[file] = line.endswith(": REVOKED")
    return told


def _keygen(*words: str) -> str:
    try:
        done = subprocess.run(
            ["ssh-keygen", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(
            "There is no ssh-keygen to judge the revocation list: install openssh-client."
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"ssh-keygen can't judge the revocation list: {error}.") from error
    if done.returncode not in (0, 1):
        said = " ".join(done.stderr.split())[:200]
        raise Unavailable(f"ssh-keygen does not take the new revocation list: {said}.")
    return done.stdout
