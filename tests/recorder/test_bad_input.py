"""Hostile recordings are read back in every way: without a crash, in bounded memory."""

import io
import itertools
import random
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from recorder import Archive, Reader, RecorderError, Size, export
from recorder.asciicast import event_line, header_line, header_of, parse_event
from recorder.mend import mend
from tests.fuzz.__main__ import seeds
from tests.fuzz.mutations import mutated
from tests.recorder.places import MORNING, shell
from tests.recorder.test_export import asciinema_cat

MB = 10**6
RESIZES = 20_000
SIZES = ((0, 0), (60000, 60000), (-5, 3), (3, -(10**17)), (10**17, 1), (2**70, 2**70))
ESCAPES = [
    "\x1b]0;title\x07",
    "\x1b]52;c;cm0gLXJmIC8K\x07",
    "\x1b[6n\x1b[c\x1bP+q544e\x1b\\",
    "\x1b[999999999999999999999999d\x1b[99999b",
    "\x9b31m\x9d0;t\x9c\x90q\x9c",
    "\x1b[?1049h\x1b#8\x1bc\ufffe\u202e",
    "\x1b[" + "1;" * 5000 + "m",
    "\x1b" * 5000,
]


def header(size: tuple[int, int] = (80, 24)) -> bytes:
    """A first line."""
    return header_line(header_of(1, shell(Size(80, 24)), MORNING)).replace(
        b'"width":80,"height":24', b'"width":%d,"height":%d' % size
    )


def hostile(place: Path) -> list[Path]:
    """Files that are not as a recorder writes them, or as it does when a target wants the worst."""
    text = event_line(0.5, "o", "before")
    line = event_line(0.5, "o", "x" * 100 * MB)
    sizes = {
        f"size-{number}": [header(size), event_line(1.0, "r", f"{size[0]}x{size[1]}"), text]
        for number, size in enumerate(SIZES)
    }
    resizes = (event_line(n, "r", f"{n % 999}x{n % 499}") for n in range(RESIZES))
    back = (event_line(time, "o", str(time)) for time in (9.0, 1.0, -5.0, 1e300, 2.0))
    known: dict[str, Iterable[bytes]] = {
        "long-line": [header(), text, line, text],
        "long-torn-line": [header(), text, line[: 20 * MB]],
        "long-header": [b'{"version":2,"title":"', b"x" * 20 * MB, b'"}\n'],
        "long-output": [header(), *([event_line(0.5, "o", "x" * MB)] * 12)],
        "no-text": [header(), text, b'[1,"o","\xff\xfe"]\n', text],
        "zeros": [header(), text, bytes(MB)],
        "resizes": itertools.chain([header()], resizes),
        "backwards": itertools.chain([header()], back),
        "escapes": [header(), *(event_line(1.0, code, each) for each in ESCAPES for code in "oe")],
        **sizes,
    }
    files = []
    for name, parts in known.items():
        files.append(place / f"{name}.cast")
        with files[-1].open("wb") as file:
            file.writelines(parts)
    return files


def test_hostile_recordings_are_read_back(tmp_path: Path) -> None:
    """Each in every way; what can't be is said in a sentence."""
    files = hostile(tmp_path)
    program = [sys.executable, "-m", "tests.recorder.hostile", *map(str, files)]
    ran = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)
    assert ran.stderr == ""
    said = {(name, way): rest for name, way, rest in map(_said, ran.stdout.splitlines())}
    ways = {way for _, way in said}
    assert len(said) == len(files) * len(ways)
    fine = {"resizes", "long-output", "backwards", "escapes", "size-0", "size-1"}
    assert {
        (name, way) for name, way in said if name in fine and said[name, way] != "done"
    } == set()
    for way in ("print", "frames", "export", "raw"):
        assert "line" in said["long-line", way], way
        assert "line" in said["no-text", way], way


def _said(line: str) -> tuple[str, str, str]:
    name, way, rest = line.split(" ", 2)
    return name, way, rest


def test_a_recording_cut_anywhere_is_whole_again(tmp_path: Path) -> None:
    """In the middle of a line of many megabytes, of an escape, of a character."""
    whole = b"".join(
        [
            header(),
            *(event_line(1.0, "o", each + "ä") for each in ESCAPES),
            event_line(2.0, "x", "0"),
        ]
    )
    path, dice = tmp_path / "S-1.cast", random.Random(57)  # noqa: S311
    for _ in range(40):
        path.write_bytes(whole[: dice.randrange(len(whole))])
        mended = mend(path, header())
        assert sum(1 for _ in Reader(path).events()) == mended.found.events
        assert list(Reader(path).events())[-1].data.startswith("bastion:interrupted")


async def test_asciinema_reads_what_is_exported_of_them(archive: Archive, tmp_path: Path) -> None:
    """All that can be exported of many broken recordings, and of a session that shows the worst, in
    one file: an outside reader stumbles over none of it."""
    async with archive.record(shell(Size(0, 60000))) as recording:
        for each in ESCAPES:
            recording.shown(each.encode()[:-1] + b"\xff")
        recording.resized(Size(60000, 0))
    known, dice = seeds("cast"), random.Random(57)  # noqa: S311
    out = tmp_path / "all.cast"
    kept = [_exported(recording.path)]
    for number in range(300):
        path = tmp_path / f"{number}.cast"
        path.write_bytes(mutated(known, dice))
        kept.append(_exported(path))
    first, *others = [lines for lines in kept if lines]
    assert len(others) > 50
    out.write_bytes(b"".join([*first, *(line for lines in others for line in lines[1:])]))
    shown = asciinema_cat(out)
    text = [parse_event(line).data for lines in kept for line in lines[1:] if b',"o",' in line]
    assert shown == "".join(text).encode("utf-8", "surrogatepass")


def _exported(path: Path) -> list[bytes]:
    out = io.BytesIO()
    with suppress(RecorderError):
        export.asciicast(Reader(path), out)
    return out.getvalue().splitlines(keepends=True)
