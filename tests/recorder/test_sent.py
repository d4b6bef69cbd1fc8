"""What was sent: readable by an auditor up to the last whole frame, by nobody else at all."""

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder import Archive, CorruptRecording, Index, RecordingMissing, UnusableKey, age, export
from recorder.sent import HASHED_TOTAL, START, TOTAL, FrameKind
from recorder.sent_reader import SentChunk, bytes_sent, read_sent
from recorder.session import SessionInfo
from tests.recorder.places import Clock, exec_of, shell

IDENTITY, AUDITOR = age.generate()
STRANGERS_IDENTITY, STRANGER = age.generate()

# Where in a file, from 0 to 1: age makes headers of different lengths.
place = st.floats(0, 1)


async def track(
    tmp_path: Path,
    index: Index,
    *sent: bytes,
    info: SessionInfo | None = None,
    auditors: tuple[str, ...] = (AUDITOR,),
    limit: int = 1_000_000,
) -> Path:
    """The track of a session in which this was sent, a tenth of a second apart."""
    clock = Clock()
    archive = Archive(
        tmp_path / "r", index, recipients=auditors, limit=limit, now=clock.now, clock=clock
    )
    async with archive.record(info or shell()) as recording:
        for data in sent:
            recording.sent(data)
            clock.seconds += 0.1
        recording.sent_eof()
    return recording.path.with_suffix(".sent")


def read(path: Path) -> list[SentChunk]:
    return list(read_sent(path, IDENTITY))


def frames(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of each frame, by the format's description alone."""
    content = content.partition(b"\n")[2]
    found = []
    while content:
        kind, _, length = START.unpack(content[: START.size])
        found.append((kind, content[START.size : START.size + length]))
        content = content[START.size + length :]
    return found


async def test_an_auditor_reads_what_was_sent_and_when(tmp_path: Path, index: Index) -> None:
    """Each chunk comes back with its time; the end of input and of the track are there."""
    path = await track(tmp_path, index, b"sudo -i\r", b"hunter2\r")
    assert read(path) == [
        SentChunk(0.0, FrameKind.DATA, b"sudo -i\r"),
        SentChunk(0.1, FrameKind.DATA, b"hunter2\r"),
        SentChunk(0.2, FrameKind.EOF, b""),
        SentChunk(0.2, FrameKind.END, TOTAL.pack(16)),
    ]
    out = io.BytesIO()
    export.sent(path, f"# created: today\n{IDENTITY}\n", out)
    assert out.getvalue() == b"sudo -i\rhunter2\r"


async def test_each_auditor_can_read_it(tmp_path: Path, index: Index) -> None:
    """Several recipients, one track."""
    path = await track(tmp_path, index, b"id\r", auditors=(STRANGER, AUDITOR))
    assert read(path)[0].data == b"id\r"


async def test_nobody_else_can(tmp_path: Path, index: Index) -> None:
    """Another identity is refused with a sentence, and the file has nothing in the clear."""
    path = await track(tmp_path, index, b"hunter2\r")
    with pytest.raises(UnusableKey, match="does not open this track"):
        list(read_sent(path, STRANGERS_IDENTITY))
    with pytest.raises(UnusableKey, match="not an age identity"):
        list(read_sent(path, "hunter2"))
    assert b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize("info", [shell(), exec_of("cat")])
async def test_without_auditors_no_content_reaches_the_disk(
    tmp_path: Path, index: Index, info: SessionInfo
) -> None:
    """Only lengths are kept, and a hash of all where it was no terminal's input."""
    path = await track(tmp_path, index, b"hunter2\r", b"x" * 500, info=info, auditors=())
    kinds = [kind for kind, _ in frames(path.read_bytes())]
    assert kinds == [b"L", b"L", b"E", b"Z"]
    assert bytes_sent(path) == 508
    digest = hashlib.sha256(b"hunter2\r" + b"x" * 500).digest()
    total = TOTAL.pack(508) if info.terminal else HASHED_TOTAL.pack(508, digest)
    assert frames(path.read_bytes())[-1] == (b"Z", total)
    assert b"hunter2" not in path.read_bytes()
    assert hashlib.sha256(b"hunter2\r").digest() not in path.read_bytes()
    with pytest.raises(UnusableKey, match="without an auditors' key"):
        read(path)


async def test_beyond_the_limit_length_and_hash_are_kept(tmp_path: Path, index: Index) -> None:
    """A long upload stops filling the disk; what is not kept can be checked by an auditor."""
    sent = [bytes([number]) * 1000 for number in range(100)]
    path = await track(tmp_path, index, *sent, limit=20_000)
    chunks = read(path)
    kept = b"".join(chunk.data for chunk in chunks if chunk.kind is FrameKind.DATA)
    rest = b"".join(sent)[len(kept) :]
    assert b"".join(sent).startswith(kept)
    sums = [chunk.data for chunk in chunks if chunk.kind is FrameKind.SUM]
    assert sums[-1] == HASHED_TOTAL.pack(len(rest), hashlib.sha256(rest).digest())
    assert len(sums) <= 10, "one a second"
    assert chunks[-1].data == TOTAL.pack(100_000)
    assert path.stat().st_size < 22_000


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place)
async def test_a_track_cut_anywhere_is_read_up_to_its_last_whole_frame(
    tmp_path: Path, index: Index, place: float
) -> None:
    """A crash at any byte loses at most the frame that was being written."""
    sent = [b"a", b"bc", b"", b"def" * 100]
    path = await track(tmp_path, index, *sent)
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    at = header + round(place * (len(content) - header))
    path.write_bytes(content[:at])
    chunks = read(path)
    whole = 0
    offset = header
    for _, frame in frames(content):
        offset += START.size + len(frame)
        whole += offset <= at
    assert len(chunks) == whole
    kept = [chunk.data for chunk in chunks if chunk.kind is FrameKind.DATA]
    assert kept == sent[: len(kept)]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place, st.integers(1, 255))
async def test_a_changed_byte_is_found(
    tmp_path: Path, index: Index, place: float, change: int
) -> None:
    """Header, kind, time, length, content: nothing can be changed and still be read in full."""
    path = await track(tmp_path, index, b"a", b"bc")
    whole = read(path)
    content = bytearray(path.read_bytes())
    content[round(place * (len(content) - 1))] ^= change
    path.write_bytes(content)
    try:
        chunks = read(path)
    except (CorruptRecording, UnusableKey):
        return
    assert chunks == whole[: len(chunks)]
    assert len(chunks) < len(whole), "a length made longer looks like a torn end"


async def test_frames_cannot_be_reordered_or_moved(tmp_path: Path, index: Index) -> None:
    """A frame has its place in its own file."""
    path = await track(tmp_path, index, b"aa", b"bb")
    other = await track(tmp_path, index, b"aa", b"bb")
    header, _, body = path.read_bytes().partition(b"\n")
    length = START.size + 2 + 16
    path.write_bytes(header + b"\n" + body[length : 2 * length] + body[:length])
    with pytest.raises(CorruptRecording, match="frame 0"):
        read(path)
    path.write_bytes(header + b"\n" + other.read_bytes().partition(b"\n")[2])
    with pytest.raises(CorruptRecording, match="frame 0"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json\n",
        b"[]\n",
        b'{"bastion-sent":2,"session":1,"key":null}\n',
        b'{"bastion-sent":1,"session":1,"key":"@"}\n',
        b'{"bastion-sent":1,"session":1,"key":7}\n',
        b'{"bastion-sent":1,"session":1,"key":"AAAA"}\n',
        b"x" * 100_000,
    ],
)
def test_another_file_is_not_a_track(tmp_path: Path, content: bytes) -> None:
    """What is not a track gives one clear error."""
    path = tmp_path / "S-1.sent"
    path.write_bytes(content)
    with pytest.raises((CorruptRecording, UnusableKey)):
        read(path)


def test_a_frame_that_claims_to_be_huge_is_refused(tmp_path: Path) -> None:
    """Memory is bounded by what a frame may be, not by what it says."""
    path = tmp_path / "S-1.sent"
    header = b'{"bastion-sent":1,"session":1,"key":null}\n'
    path.write_bytes(header + START.pack(b"D", 0, 0xFFFFFFFF))
    with pytest.raises(CorruptRecording, match="too long"):
        bytes_sent(path)
    path.write_bytes(header + START.pack(b"\xff", 0, 0))
    with pytest.raises(CorruptRecording, match="unknown kind"):
        bytes_sent(path)


def test_a_missing_track_is_missing(tmp_path: Path) -> None:
    """Not there is said as such."""
    with pytest.raises(RecordingMissing):
        bytes_sent(tmp_path / "S-1.sent")


def test_a_recipient_that_is_none_is_refused_at_once(tmp_path: Path, index: Index) -> None:
    """A typing error in a setting is found when the archive is made, not at the first session."""
    with pytest.raises(UnusableKey, match="age1nonsense"):
        Archive(tmp_path, index, recipients=["age1nonsense"], limit=1)
