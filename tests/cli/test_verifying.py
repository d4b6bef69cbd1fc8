"""`verify` on the command line."""

import base64
import subprocess
from pathlib import Path

from recorder import Kind
from tests.cli.desks import Installation
from tests.cli.test_sessions import recorded


async def test_sealed_recordings_are_sound_until_somebody_changes_one(
    furnished: Installation, tmp_path: Path
) -> None:
    """Also after the seal key was changed, and by ssh-keygen alone."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
    furnished("ca", "rotate", "seal")
    with furnished.services() as services:
        await recorded(services.archive, Kind.EXEC, "uname")
        keys = services.authority.seal_keys
    said = furnished("verify", "S-1").out
    assert said.splitlines()[0] == "Nothing was changed, is missing or was added."
    assert said.splitlines()[1].startswith("Not anchored: ")
    told = furnished("verify", "--all", "--json").json
    assert told == {"sound": True, "unsealed": None, "anchored": False, "findings": []}
    assert furnished("show", "S-1", "--json").json["recording"]["sealed"] is True
    [manifest] = furnished.home.directory.rglob("S-1.manifest")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text("".join(f"bastion {k.algorithm} {furnished_blob(k.blob)}\n" for k in keys))
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "bastion"]
    command += ["-n", "recording@bastion", "-s", f"{manifest}.sig"]
    good = manifest.read_bytes()
    assert status(command, good) == 0
    bad = good.replace(b"alice", b"alicf")
    assert status(command, bad) != 0
    cast = manifest.with_suffix(".cast")
    cast.write_bytes(cast.read_bytes().replace(b"hello", b"hallo"))
    assert "S-1: S-1.cast was changed." in furnished("verify", "--all", status=1).out


def status(command: list[str], given: bytes) -> int:
    return subprocess.run(command, input=given, capture_output=True, check=False).returncode


def furnished_blob(blob: bytes) -> str:
    return base64.b64encode(blob).decode()
