"""Packs of evidence in the hands of a stranger: unpacked by tar, judged by what README.txt says."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Judged:
    """What a shell said about a pack."""

    status: int
    text: str


@dataclass(frozen=True)
class Unpacked:
    """A pack's directory."""

    directory: Path

    def text(self, name: str) -> str:
        """What stands in one of its files."""
        return (self.directory / name).read_text()

    def json(self, name: str) -> Any:  # noqa: ANN401 (any document)
        """A document."""
        return json.loads(self.text(name))

    def events(self) -> list[dict[str, Any]]:
        """The events, in their order."""
        return [json.loads(line) for line in self.text("events.jsonl").splitlines()]

    def names(self) -> list[str]:
        """All files, by their names below the directory."""
        found = (path for path in self.directory.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.directory)) for path in found)

    def steps(self) -> list[str]:
        """The indented commands of README.txt, one text for each step that has some."""
        blocks = re.findall(r"(?:^    .*\n)+", self.text("README.txt"), re.MULTILINE)
        return ["".join(line[4:] for line in block.splitlines(True)) for block in blocks]

    def step(self, number: int) -> Judged:
        """What a POSIX shell says to one step."""
        return self.typed(self.steps()[number])

    def typed(self, commands: str) -> Judged:
        """What it says to commands."""
        done = subprocess.run(
            ["sh", "-c", commands],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        )
        return Judged(done.returncode, done.stdout + done.stderr)


KEY, PACK, RECORDINGS, EVENTS, CHECKPOINTS, ANCHORS = range(6)
"""The steps of README.txt, where none is left out."""


def unpacked(pack: Path, into: Path) -> Unpacked:
    """What tar makes of a pack."""
    into.mkdir()
    said = subprocess.run(
        ["tar", "-x", "-f", str(pack), "-C", str(into)], capture_output=True, check=True
    )
    assert said.stderr == b""
    (directory,) = into.iterdir()
    return Unpacked(directory)


def assert_verified(pack: Unpacked) -> None:
    """Every step of its README.txt finds it right."""
    said = [pack.step(number) for number in range(len(pack.steps()))]
    assert said[KEY].text.startswith("seal namespaces=")
    assert re.fullmatch(r'Good "evidence@bastion" signature for seal .*\n', said[PACK].text)
    assert said[PACK].status == 0
    for each in said[PACK + 1 : -1]:
        assert each.text == ""
    lines = said[-1].text.splitlines()
    assert lines
    assert all(re.fullmatch(r"[0-9a-f]{64}  proof/checkpoint-\d+\.json", line) for line in lines)
