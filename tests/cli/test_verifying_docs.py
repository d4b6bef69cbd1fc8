"""docs/verifying.md says how to verify a recording without us: its commands do."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from recorder import Kind
from tests.cli.desks import Installation
from tests.cli.recordings import recorded

TEXT = (Path(__file__).parents[2] / "docs" / "verifying.md").read_text()
KEYS, MANIFEST, PLAIN, PACKED, COVERED, MISSING, CHAIN, TOLD = re.findall(
    r"```sh\n(.*?)```", TEXT, re.DOTALL
)


class Stranger:
    """Somebody with a copy of all recordings, and a shell, who looks at the first."""

    def __init__(self, place: Path, home: Path) -> None:
        self.place = place
        self._path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._home = home

    def runs(self, commands: str, *, fails: bool = False) -> str:
        """What commands of the page say, about S-1 instead of S-31."""
        ran = subprocess.run(
            ["sh", "-c", commands.replace("S-31", "S-1")],
            cwd=self.place,
            env={"PATH": self._path, "BASTION_HOME": str(self._home), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (ran.returncode != 0) == fails, ran.stderr
        return ran.stdout

    def everything(self) -> str:
        """What all steps say, but for the good signature."""
        return "".join(map(self.runs, (PLAIN, PACKED, COVERED, MISSING, CHAIN, TOLD)))

    def change(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Another content for a file."""
        file = self.place / name
        file.write_bytes(change(file.read_bytes()))


@pytest.fixture
async def stranger(furnished: Installation, tmp_path: Path) -> Stranger:
    """Three sessions by two seal keys; their files, and the log as it was sent to a file."""
    place = tmp_path / "copies"
    place.mkdir()
    for number in range(3):
        with furnished.services() as services:
            await recorded(services.archive, Kind.EXEC, f'echo ,"manifest":{number},')
        if number == 1:
            furnished("ca", "rotate", "seal")
    for file in (furnished.home.directory / "recordings").rglob("S-*"):
        shutil.copy(file, place)
    (place / "events.jsonl").write_text(furnished("audit", "--json").out)
    made = Stranger(place, furnished.home.directory)
    made.runs(KEYS)
    return made


def test_a_sound_one_is_sound(stranger: Stranger) -> None:
    """Signed by a key that is retired, in a chain with what the new one has signed; compressed or
    not, and not where its content was changed."""
    good = 'Good "recording@bastion" signature for bastion with ED25519 key SHA256:'
    assert stranger.runs(MANIFEST).startswith(good)
    assert stranger.everything() == "3 manifests\n"
    packer = zstandard.ZstdCompressor()
    stranger.change("S-1.cast", packer.compress)
    (stranger.place / "S-1.cast").rename(stranger.place / "S-1.cast.zst")
    assert stranger.everything() == "3 manifests\n"
    stranger.change("S-1.cast.zst", lambda _: packer.compress(b"something else"))
    assert stranger.everything() == "S-1.cast.zst is not what was sealed\n3 manifests\n"


async def test_an_encrypted_one_is_sound_as_it_lies(
    stranger: Stranger, furnished: Installation
) -> None:
    """It needs no key; what was changed of it is found."""
    settings = furnished.home.settings
    settings.write_text(settings.read_text().replace("# encrypt = false", "encrypt = true"))
    with furnished.services() as services:
        await recorded(services.archive, Kind.SHELL, None)
    for file in (furnished.home.directory / "recordings").rglob("S-4*"):
        shutil.copy(file, stranger.place)
    (stranger.place / "events.jsonl").write_text(furnished("audit", "--json").out)
    steps = [step.replace("S-31", "S-4") for step in (PLAIN, PACKED, COVERED, MISSING, TOLD)]
    assert "".join(map(stranger.runs, steps)) == ""
    stranger.change("S-4.cast.zst.age", lambda content: content[:-1])
    assert stranger.runs(steps[2]) == "S-4.cast.zst.age is not what was sealed\n"
    (stranger.place / "S-4.cast.zst.age").unlink()
    assert "S-4.cast is missing" in stranger.runs(steps[3])


def test_what_was_done_to_it_is_found(stranger: Stranger) -> None:
    """Two files that changed their names, a byte of a file, a file that is gone, a manifest, a
    manifest that is gone, another seal."""
    shown, sent = (stranger.place / f"S-1.{suffix}" for suffix in ("cast", "sent"))
    shown.rename(aside := stranger.place / "aside")
    sent.rename(shown)
    aside.rename(sent)
    assert stranger.runs(PLAIN).count("is not what was sealed") == 2
    shown.rename(aside)
    sent.rename(shown)
    aside.rename(sent)
    stranger.change("S-1.cast", lambda content: content.replace(b"hello", b"hallo"))
    assert stranger.everything() == "S-1.cast is not what was sealed\n3 manifests\n"
    (stranger.place / "S-1.cast").unlink()
    assert stranger.everything() == "S-1.cast is missing\n3 manifests\n"
    stranger.change("S-1.manifest", lambda content: content.replace(b"alice", b"alicf"))
    stranger.runs(MANIFEST, fails=True)
    assert stranger.runs(CHAIN) == "manifest 2 does not follow the one before\n3 manifests\n"
    assert stranger.runs(TOLD) == "the log was not told of this seal\n"
    for suffix in ("manifest", "manifest.sig"):
        shutil.copy(stranger.place / f"S-2.{suffix}", stranger.place / f"S-1.{suffix}")
    stranger.runs(MANIFEST)
    (stranger.place / "S-2.manifest").unlink()
    (stranger.place / "S-1.manifest").unlink()
    assert stranger.runs(CHAIN) == "manifests before 3 are missing\n1 manifests\n"
