"""Compaction: the same content in less room, and whatever interrupts it loses nothing."""

import fcntl
import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import CorruptRecording, NotCompacted, Reader, Size
from recorder.asciicast import Code, Event, event_line, header_line, header_of
from recorder.compacted import read_points
from recorder.compaction import Done, Wanted, aside_of, compact
from recorder.picture import Picture
from recorder.plain import plain_chunks
from recorder.scene import scene_at
from recorder.session import Compaction
from tests.recorder.places import MORNING, shell

FRAME = 2000

pieces = st.sampled_from(
    [
        *(
            "text ",
            "日本",
            "\r\n",
            "\x1b[31m",
            "\x1b[2;3H",
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[2J",
        ),
        *(
            "\x1b]0;a title\x07",
            "\x1b]52;c;",
            "\x1b[",
            "7m",
            "\x1b7",
            "\x1b8",
            "\x1b[2;5r",
            "\x1bM",
        ),
        *("\x1b(0lqk\x1b(B", "x" * 70, "\x1b[4h", "\x1b[?25l", "\x1b[3g", "\x1bH", "\t", "\x1bc"),
    ]
)
outputs = st.builds(lambda code, text: (code, text), st.sampled_from(["o", "e"]), pieces)
torn = st.tuples(st.sampled_from(["ob", "eb"]), st.sampled_from(["4g==", "gqw=", "/w==", "wg=="]))
resizes = st.tuples(st.just("r"), st.sampled_from(["132x50", "20x5", "0x0", "60000x60000"]))
notes = st.tuples(st.just("m"), st.sampled_from(["bastion:said", "bastion:limit", ""]))
both = st.one_of(outputs, outputs, outputs, torn, notes)
# What lies beneath a full-screen program that is resized, avt itself does not remember well.
events = st.one_of(
    st.lists(both, max_size=60),
    st.lists(st.one_of(both.filter(lambda event: "?1049" not in event[1]), resizes), max_size=60),
)


def written(path: Path, told: list[tuple[str, str]], terminal: bool = True) -> Wanted:
    """A recording with an event each second, each with much that says nothing beside it."""
    header = header_of(1, shell(Size(40, 10)), MORNING)
    header.session["terminal"] = terminal
    lines = [header_line(header)]
    for second, (code, data) in enumerate(told):
        lines += [event_line(second, code, data), event_line(second, "m", "n" * 400)]
    content = b"".join(lines)
    path.write_bytes(content)
    return Wanted(path, hashlib.sha256(content).hexdigest(), len(content))


def compacted(wanted: Wanted, frame: int = FRAME) -> Done:
    return compact(wanted, lambda: None, frame)


def lying(wanted: Wanted) -> set[str]:
    return {file.name for file in wanted.path.parent.iterdir()}


@pytest.fixture
def long(tmp_path: Path) -> Wanted:
    """A recording of a hundred lines, in half as many frames."""
    place = tmp_path / "day"
    place.mkdir()
    return written(place / "S-1.cast", [("o", f"line {n}\r\n") for n in range(100)])


def test_the_content_is_the_same_for_whoever_knows_zstd(long: Wanted) -> None:
    """`zstd -dc` gives the bytes that were sealed, `zstd -t` is content; the file is ours alone."""
    content = long.path.read_bytes()
    done = compacted(long)
    packed = long.path.with_name("S-1.cast.zst")
    assert lying(long) == {"S-1.cast.zst"}
    assert (done.compaction, done.size) == (Compaction.COMPACTED, packed.stat().st_size)
    assert packed.stat().st_mode & 0o777 == 0o600
    assert done.size < len(content) / 5
    judge = ["zstd", "-dc", str(packed)]
    assert subprocess.run(judge, check=True, capture_output=True).stdout == content
    subprocess.run(["zstd", "-tq", str(packed)], check=True)


def test_the_seek_table_is_as_the_format_has_it(long: Wanted) -> None:
    """Each frame where it says, and its plain length: any program can find a byte by it."""
    content = long.path.read_bytes()
    compacted(long)
    packed = long.path.with_name("S-1.cast.zst").read_bytes()
    count, described, magic = int.from_bytes(packed[-9:-5], "little"), packed[-5], packed[-4:]
    assert (described, magic) == (0, b"\xb1\xea\x92\x8f")
    table = packed[-9 - 8 * count : -9]
    begins = len(packed) - len(table) - 17
    assert packed[begins : begins + 4] == b"\x5e\x2a\x4d\x18"
    assert int.from_bytes(packed[begins + 4 : begins + 8], "little") == len(table) + 9
    at, plain = 0, b""
    for entry in range(count):
        length, size = (
            int.from_bytes(table[8 * entry + n : 8 * entry + n + 4], "little") for n in (0, 4)
        )
        frame = packed[at : at + length]
        at += length
        plain += zstandard.decompress(frame) if size else b""
        assert size == (zstandard.frame_content_size(frame) if size else 0)
    assert (at, plain) == (begins, content)


def test_reading_is_the_same_in_either_form(long: Wanted) -> None:
    """Header and events."""
    reader = Reader(long.path)
    header, before = reader.header(), list(reader.events())
    compacted(long)
    assert reader.header() == header
    assert list(reader.events()) == before
    assert len(before) == 200


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events, st.integers(0, 70), st.booleans())
def test_a_scene_is_what_all_before_it_would_have_drawn(
    tmp_path: Path, told: list[tuple[str, str]], time: int, terminal: bool
) -> None:
    """From the nearest keyframe: the same screen, and the same drawn after it, torn or not."""
    path = tmp_path / "S-1.cast"
    path.with_name("S-1.cast.zst").unlink(missing_ok=True)
    wanted = written(path, [*told, *[("o", "end")] * 12], terminal=terminal)
    plain = Reader(path)
    picture = Picture.first(plain.header())
    for event in plain.events():
        if event.time < time:
            picture.draw(event)
    after = [event for event in plain.events() if event.time >= time]
    done = compacted(wanted, 600)
    scene = scene_at(Reader(path, points=done.points), time)
    assert scene.picture.shown() == picture.shown()
    assert scene.picture.size == picture.size
    assert list(scene.drawn())[bool(time) :] == list(picture.drawing.all(after))


def test_a_scene_begins_at_a_keyframe(tmp_path: Path) -> None:
    """And not at the beginning: most of what comes before it is not even looked at."""
    path = tmp_path / "S-1.cast"
    done = compacted(written(path, [("o", f"line {n}\r\n") for n in range(1000)]))
    packed = path.with_name("S-1.cast.zst")
    with packed.open("rb") as file:
        points = read_points(file, done.points)
    spoilt = bytearray(packed.read_bytes())
    first, last = points[len(points) // 2].offset, points[-5].offset
    spoilt[first:last] = bytes(last - first)
    packed.write_bytes(spoilt)
    reader = Reader(path, points=done.points)
    assert "line 998" in scene_at(reader, 999).picture.shown()
    with pytest.raises(CorruptRecording):
        list(reader.events())


# What may be cut, forged, or damaged


def test_one_that_was_cut_anywhere_is_read_back_as_far_as_it_goes(long: Wanted) -> None:
    """Never another event than there was, never an exception but ours."""
    plain, before = Reader(long.path), list(Reader(long.path).events())
    content = long.path.read_bytes()
    for cut in range(0, len(content), 997):
        long.path.write_bytes(content[:cut])
        found = list(plain.events())
        assert found == before[: len(found)]
    long.path.write_bytes(content)
    done = compacted(long)
    packed = long.path.with_name("S-1.cast.zst")
    whole = packed.read_bytes()
    counts = []
    for cut in range(0, len(whole), 13):
        packed.write_bytes(whole[:cut])
        found = list(plain.events())
        assert found == before[: len(found)]
        counts.append(len(found))
        with_header = cut > 500
        if with_header:
            assert scene_at(Reader(long.path, points=done.points), 50).whole
    assert counts == sorted(counts)
    assert counts[-1] == len(before)


def test_a_screen_that_was_not_made_here_is_not_believed(long: Wanted) -> None:
    """Whatever is done to points and keyframes: the screen is drawn from what was recorded."""
    done = compacted(long)
    packed = long.path.with_name("S-1.cast.zst")
    whole, dice = packed.read_bytes(), random.Random(1)  # noqa: S311 (no secret)
    with packed.open("rb") as file:
        points = read_points(file, done.points)
    tail = points[-1].offset - points[-1].length
    right = scene_at(Reader(long.path, points=done.points), 99.5).picture.shown()
    assert "line 99" in right
    for _ in range(300):
        spoilt = bytearray(whole)
        for _ in range(dice.choice((1, 2, 8))):
            at = dice.randrange(points[-1].offset, len(whole))
            spoilt[at] ^= 1 << dice.randrange(8)
        for point in points[-1:]:
            at = dice.randrange(tail + 8, point.offset)
            spoilt[at] ^= 1
        packed.write_bytes(spoilt)
        try:
            found = scene_at(Reader(long.path, points=done.points), 99.5).picture.shown()
        except CorruptRecording:
            continue
        assert found == right


def test_a_damaged_recording_is_compacted_as_it_is(long: Wanted) -> None:
    """It was sealed so; what can be read of it is read, to the same place as before."""
    lines = long.path.read_bytes().splitlines(keepends=True)
    lines[150] = b"rubbish\n"
    content = b"".join(lines)[:-5]
    long.path.write_bytes(content)
    reader = Reader(long.path)

    def read() -> tuple[list[Event], str]:
        found: list[Event] = []
        with pytest.raises(CorruptRecording) as caught:
            found.extend(reader.events())
        return found, str(caught.value)

    before = read()
    assert "line 151" in before[1]
    done = compacted(Wanted(long.path, hashlib.sha256(content).hexdigest(), len(content)))
    assert done.compaction is Compaction.COMPACTED
    assert read() == before
    assert b"".join(plain_chunks(long.path.with_name("S-1.cast.zst"))) == content
    assert "line 70" in scene_at(reader, 71).picture.shown()
    with pytest.raises(CorruptRecording, match="line 151"):
        scene_at(reader, 90)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, and its row says"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"9", b"8")), "another SHA-256"),
        (Path.unlink, "it is missing"),
    ],
)
def test_a_corrupt_recording_is_left_as_it_is(
    long: Wanted, spoil: Callable[[Path], object], said: str
) -> None:
    """It is evidence of what was done to it."""
    spoil(long.path)
    before = long.path.read_bytes() if long.path.exists() else None
    done = compacted(long)
    assert done.compaction is Compaction.CORRUPT
    assert said in done.sentence
    assert lying(long) == ({"S-1.cast"} if before is not None else set())
    assert before is None or long.path.read_bytes() == before


def test_what_would_be_no_smaller_stays(tmp_path: Path) -> None:
    """Random bytes in base64 are smaller by a quarter; these are not."""
    path = tmp_path / "S-1.cast"
    content = random.Random(1).randbytes(100_000)  # noqa: S311 (no secret)
    path.write_bytes(content)
    done = compacted(Wanted(path, hashlib.sha256(content).hexdigest(), len(content)))
    assert done == Done(Compaction.KEPT)
    assert path.read_bytes() == content
    assert not aside_of(path).exists()


# What may interrupt it


def test_without_room_it_waits(long: Wanted) -> None:
    """More of the disk than there is has to stay free; nothing is left behind."""
    with pytest.raises(NotCompacted, match="the disk has no room"):
        compacted(Wanted(long.path, long.sha256, long.size, floor=2**62))
    assert lying(long) == {"S-1.cast"}


def test_one_that_somebody_holds_waits(long: Wanted) -> None:
    """A writer, or another compactor."""
    with long.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(NotCompacted, match=r"somebody else holds S-1\.cast"):
            compacted(long)
    assert compacted(long).compaction is Compaction.COMPACTED


def test_it_can_be_ended_at_any_step(long: Wanted) -> None:
    """Until the end nothing has changed; afterwards it is done as if nothing had been."""

    class Ended(Exception):
        pass

    def ending_after(steps: int) -> Callable[[], None]:
        left = iter(range(steps))

        def pause() -> None:
            if next(left, None) is None:
                raise Ended

        return pause

    content, steps = long.path.read_bytes(), 0
    while long.path.exists():
        try:
            assert compact(long, ending_after(steps), FRAME).compaction is Compaction.COMPACTED
        except Ended:
            assert lying(long) == {"S-1.cast"}
            assert long.path.read_bytes() == content
            steps += 3
    assert steps > 20


def test_what_a_kill_has_left_is_gone_over(long: Wanted, tmp_path: Path) -> None:
    """Half a file aside; both files; the new one alone, whose row says nothing yet."""
    aside_of(long.path).write_bytes(b"half a fi")
    kept = tmp_path / "kept"
    shutil.copy(long.path, kept)
    done = compacted(long)
    packed = long.path.with_name("S-1.cast.zst")
    assert lying(long) == {packed.name}
    shutil.copy(kept, long.path)
    packed.write_bytes(packed.read_bytes()[:-500])
    assert compacted(long) == done
    assert lying(long) == {packed.name}
    assert compacted(long) == done
    packed.write_bytes(packed.read_bytes()[: done.size // 2])
    assert compacted(long).compaction is Compaction.CORRUPT


def test_the_plain_one_counts_where_both_are(long: Wanted) -> None:
    """Until it is gone, what lies beside it is nobody's word."""
    content = long.path.read_bytes()
    compacted(long)
    long.path.write_bytes(content.replace(b"line 7\\r", b"LINE 7\\r"))
    shown = [event.data for event in Reader(long.path).events() if event.code is Code.OUT]
    assert "LINE 7\r\n" in shown


def test_who_makes_a_terminal_work_too_hard_has_no_more_keyframes(tmp_path: Path) -> None:
    """The recording is compacted all the same; far from a keyframe only the last is drawn."""
    path = tmp_path / "S-1.cast"
    text = "x" * 30_000
    told = [("o", f"\x1b[31m{text}\x1b[2J\x1b[Hline {n}") for n in range(600)]
    wanted = written(path, told)
    seconds = count(0.0, 0.1)
    done = compact(wanted, lambda: None, 200_000, lambda: next(seconds))
    packed = path.with_name("S-1.cast.zst")
    with packed.open("rb") as file:
        points = read_points(file, done.points)
    with_keyframe = [point for point in points if point.length]
    assert len(points) > 80
    assert 5 < len(with_keyframe) < 40
    assert tuple(with_keyframe) == points[1 : 1 + len(with_keyframe)]
    reader = Reader(path, points=done.points)
    near, far = scene_at(reader, with_keyframe[-1].time + 5), scene_at(reader, 595)
    assert (near.whole, far.whole) == (True, False)
    for scene in (near, far):
        assert f"line {scene.time - 1:.0f}" in scene.picture.shown()
        assert next(iter(scene.events)).time == scene.time
    assert len(list(reader.events())) == 1200


def test_keyframes_take_no_more_than_what_they_are_for(tmp_path: Path) -> None:
    """A screen full of colours, and then next to nothing for ever, costs next to nothing."""
    dice = random.Random(1)  # noqa: S311 (no secret)
    screen = "".join(
        f"\x1b[38;2;{dice.randrange(256)};{dice.randrange(256)};{dice.randrange(256)}m#"
        for _ in range(200 * 60)
    )
    path = tmp_path / "S-1.cast"
    lines = [header_line(header_of(1, shell(Size(200, 60)), MORNING)), event_line(0, "o", screen)]
    lines += [event_line(n, "o", "\x1b[H" * 1000) for n in range(200)]
    path.write_bytes(b"".join(lines))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    done = compacted(Wanted(path, digest, path.stat().st_size), 30_000)
    content = len(zstandard.compress(b"".join(lines)))
    assert done.size < 3 * content + 2**18 + 100_000
    assert not path.exists()
