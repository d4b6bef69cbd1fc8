"""Searching: how long it takes in a year of sessions, what the index costs, and live sessions.

The text goes through the text index as the indexer hands it over. Live sessions are recordings that
grow by a clock of the bench's own; what is measured of them is the processor time of the indexer.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from recorder import (
    Archive,
    Index,
    Kind,
    Line,
    Recording,
    Session,
    SessionInfo,
    Size,
    Stored,
    Transcripts,
)
from recorder.chunks import filled
from recorder.fts import SqliteTexts
from recorder.indexing import Indexer
from recorder.needle import Needle
from recorder.texts import Standing, State, Update, WantedLines
from tests.bench.figures import Row, below, known, percentile
from tests.bench.spoken import Speech
from tests.recorder.places import Clock, Sqlite

SESSION = 100_000
"""Characters of a session."""

GOAL = 100.0
"""Milliseconds that a search may take, at the 95th percentile."""

LIVE = 60
"""Seconds for which live sessions write, by their own clock."""

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def measure(sessions: int, live: int) -> list[Row]:
    """So many sessions that are over, so many that go on."""
    with TemporaryDirectory() as place:
        texts = SqliteTexts(Path(place) / "search.db")
        try:
            return [
                *_searched(texts, Path(place) / "search.db", sessions),
                *asyncio.run(_grown(live)),
            ]
        finally:
            texts.close()


def _searched(texts: SqliteTexts, file: Path, sessions: int) -> Iterator[Row]:
    size, seconds = _indexed(texts, sessions)
    text = f"{size / 1e9:.2f} GB" if size > 1e9 else f"{size / 1e6:.0f} MB"
    yield known(
        f"text of {sessions} sessions, {text}: into the index", "MB/s", size / seconds / 1e6
    )
    yield known("the index, of the text's size", "", file.stat().st_size / size)
    every: list[float] = []
    for what, asked in _questions(sessions).items():
        taken = _asked(texts, asked)
        every += taken
        yield below(f"search, {what}, p95", "ms", None, percentile(taken, 95), GOAL)
    odd = _asked(texts, [("; root", WantedLines()), ("|| deploy", WantedLines())])
    yield known("search, rare signs around a common word", "ms", max(odd))
    yield known("search, all but these, p50", "ms", percentile(every, 50))
    yield below("search, all but these, p95", "ms", None, percentile(every, 95), GOAL)


def _indexed(texts: SqliteTexts, sessions: int) -> tuple[int, float]:
    """Characters, and seconds of processor time."""
    speech, size, seconds = Speech(), 0, 0.0
    for number in range(1, sessions + 1):
        lines = [Line(float(n), text) for n, text in enumerate(speech.session(SESSION))]
        size += sum(len(line.text) + 1 for line in lines)
        begun = time.process_time()
        update = Update(session(number), Standing(State.WHOLE), list(filled(lines)))
        texts.write([update])
        seconds += time.process_time() - begun
    return size, seconds


def _questions(sessions: int) -> dict[str, list[tuple[str, WantedLines]]]:
    """What is looked for, by how much there is of it."""
    words = Speech().words
    anywhere = WantedLines()
    recently = WantedLines(since=BEGUN + timedelta(hours=sessions - 50))
    hers = [WantedLines(user=f"user-{n}") for n in range(20)]
    return {
        "a rare word": [(word, anywhere) for word in words[20_000:20_040]],
        "a common word": [(word, anywhere) for word in ("root", "deploy", "200", *words[:17])],
        "a beginning": [(word[:4], anywhere) for word in words[3000:3020]],
        "a phrase": [(f"systemctl restart {word}", anywhere) for word in words[:20]],
        "a path": [(f"/etc/nginx/{word}", anywhere) for word in words[:20]],
        "what is not there": [(f"zz{word}", anywhere) for word in words[:20]],
        "common words that are never together": [
            (f"mozilla {word}", anywhere) for word in ("deploy", "root", "error", "systemctl")
        ],
        "a common word of one of 50 people": [("root", wanted) for wanted in hers],
        "a common word of nobody": [("root", WantedLines(user="nobody"))] * 5,
        "a rare word of the last days": [(word, recently) for word in words[20_000:20_020]],
    }


def _asked(texts: SqliteTexts, asked: Sequence[tuple[str, WantedLines]]) -> list[float]:
    """Milliseconds of each, the first time that it is asked."""
    taken = []
    for text, wanted in asked:
        begun = time.perf_counter()
        texts.find(Needle(text), wanted, limit=100)
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def session(number: int) -> Session:
    """One that is over, of one of fifty people on one of twenty hosts, an hour after another."""
    return Session(
        id=number,
        connection=number,
        user=f"user-{number % 50}",
        grant=number % 500,
        host=f"host-{number % 20}",
        login="deploy",
        kind=Kind.SHELL,
        command=None,
        source="192.0.2.7",
        started_at=BEGUN + timedelta(hours=number),
        ended_at=None,
        end_reason=None,
        exit_status=None,
        exit_signal=None,
        bytes_in=0,
        bytes_out=0,
        recording=Stored("x"),
    )


async def _grown(live: int) -> list[Row]:
    """Sessions that write 2 KB/s each, in ten events."""
    with TemporaryDirectory() as place:
        clock = Clock()
        index = Index(Sqlite(Path(place) / "index.db"))
        recordings = Path(place) / "recordings"
        archive = Archive(
            recordings, index, recipients=[], limit=1 << 30, now=clock.now, clock=clock
        )
        texts = SqliteTexts(Path(place) / "search.db")
        indexer = Indexer(index, archive, texts, Transcripts(), clock=clock)
        info = SessionInfo(
            1, "alice", 1, "web-1", "deploy", Kind.SHELL, "192.0.2.7", terminal=Size(80, 24)
        )
        opened = [await archive.begin(info) for _ in range(live)]
        taken = _followed(opened, indexer, clock)
        for recording in opened:
            await archive.finish(recording)
        texts.close()
        what = f"{live} live sessions of 2 KB/s, of one processor"
        return [below(what, "%", None, 100 * taken / LIVE, 50)]


def _followed(opened: Sequence[Recording], indexer: Indexer, clock: Clock) -> float:
    """Seconds of processor time that following them for LIVE seconds takes."""
    lines = iter(f"{line}\r\n" for line in Speech(2).session(2**40))
    pool = ["".join(islice(lines, 3)).encode()[:200] for _ in range(5000)]
    taken = 0.0
    for second in range(LIVE):
        for tenth in range(10):
            clock.seconds += 0.1
            for number, recording in enumerate(opened):
                recording.shown(pool[(number * 7 + second * 11 + tenth) % len(pool)])
        begun = time.process_time()
        while indexer.turn():
            pass
        taken += time.process_time() - begun
    return taken
