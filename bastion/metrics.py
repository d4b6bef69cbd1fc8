"""Metrics: what is counted and measured, as Prometheus reads it. Pure.

What there is stands in `ALL`, with the values that its labels may have: whoever reads the numbers
learns how much goes on, never who does what where. So no label is the name of a user, a host or an
address, and how many series there are is known beforehand.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bastion.denials import Reason
from bastion.limits import Limit
from recorder.session import EndReason, Kind

Key = tuple[str, ...]
"""A series: the name of its samples, and the values of its labels in their order."""

Figures = Mapping[Key, float]

INFINITE: Final = "+Inf"
LE: Final = "le"
"""The label of a histogram's buckets."""


class Type(StrEnum):
    """What a number does."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """A label's name, and each value that it may have."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `bounds` are those of a histogram's buckets, rising."""

    name: str
    type: Type
    help: str
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()

    def samples(self) -> Iterator[tuple[str, tuple[Label, ...]]]:
        """The names of its samples, each with its labels."""
        if self.type is not Type.HISTOGRAM:
            yield self.name, self.labels
            return
        les = tuple(f"{bound:g}" for bound in self.bounds)
        yield f"{self.name}_bucket", (*self.labels, Label(LE, (*les, INFINITE)))
        yield f"{self.name}_sum", self.labels
        yield f"{self.name}_count", self.labels


GRANTED: Final = "granted"
"""What a door answers that opens."""

_KIND = Label("kind", tuple(Kind))
_ENDED = Label("reason", tuple(EndReason))
_SOON = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

LIVE = Metric("bastion_sessions_live", Type.GAUGE, "Sessions that go on now.", (_KIND,))
BEGUN = Metric("bastion_sessions_begun_total", Type.COUNTER, "Sessions that have begun.", (_KIND,))
ENDED = Metric(
    "bastion_sessions_ended_total",
    Type.COUNTER,
    "Sessions that are over, by why they ended.",
    (_KIND, _ENDED),
)
FELT = Metric(
    "bastion_end_felt_seconds",
    Type.HISTOGRAM,
    "Seconds from an expiry, a revocation or a kill to the cut of a session that it ends.",
    (Label("reason", (EndReason.EXPIRED, EndReason.REVOKED, EndReason.KILLED)),),
    (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0),
)
ANSWERS = Metric(
    "bastion_door_answers_total",
    Type.COUNTER,
    "Answers of the doors: reach (1), login (2), run (3).",
    (Label("door", ("1", "2", "3")), Label("answer", (GRANTED, *Reason))),
)
DOOR = Metric(
    "bastion_door_seconds",
    Type.HISTOGRAM,
    "Seconds until door 1 has answered, and its answer is kept.",
    bounds=_SOON,
)
HANDSHAKE = Metric(
    "bastion_handshake_seconds",
    Type.HISTOGRAM,
    "Seconds from connecting to having signed in.",
    bounds=_SOON,
)
TARGET = Metric(
    "bastion_target_connect_seconds",
    Type.HISTOGRAM,
    "Seconds until a target has let us in, or has not.",
    (Label("result", ("connected", "failed")),),
    _SOON,
)
CONNECTIONS = Metric(
    "bastion_connections",
    Type.GAUGE,
    "Connections that are open, by whether somebody has signed in.",
    (Label("state", ("signed_in", "nobody")),),
)
FAILED = Metric(
    "bastion_signins_failed_total", Type.COUNTER, "Sign-ins that failed, as the log counts them."
)
LIMITS = Metric(
    "bastion_limits_reached_total",
    Type.COUNTER,
    "How often a limit was reached, by which; docs/limits.md has them.",
    (Label("limit", tuple(Limit)),),
)
RELAYED = Metric(
    "bastion_relayed_bytes_total",
    Type.COUNTER,
    "Bytes of sessions: to the target, and shown to the contractor.",
    (Label("direction", ("sent", "shown")),),
)
BEHIND = Metric(
    "bastion_recorder_behind_seconds",
    Type.GAUGE,
    "Seconds that the disk is behind with what was recorded.",
)
FREE = Metric(
    "bastion_recorder_free_bytes", Type.GAUGE, "Bytes that are free on the disk of the recordings."
)
ROOM = Metric(
    "bastion_recorder_room",
    Type.GAUGE,
    "What the disk has room for: 3 everything, 2 what is live, 1 emergencies, 0 nothing.",
)
UNSEALED = Metric(
    "bastion_recordings_unsealed", Type.GAUGE, "Recordings that are over and not sealed yet."
)
UNSTORED = Metric(
    "bastion_recordings_unstored",
    Type.GAUGE,
    "Recordings that are over and not in the object store yet, of all machines.",
)
UNSTORED_BYTES = Metric(
    "bastion_recordings_unstored_bytes", Type.GAUGE, "How many bytes these have."
)
UNSTORED_SECONDS = Metric(
    "bastion_recordings_unstored_seconds", Type.GAUGE, "Seconds that the oldest of these is over."
)
STORE_BEHIND = Metric(
    "bastion_store_behind_seconds",
    Type.GAUGE,
    "Seconds that the object store is behind with recordings that grow here.",
)
STORE_BEHIND_BYTES = Metric(
    "bastion_store_behind_bytes", Type.GAUGE, "Bytes of these that it does not have yet."
)
STORE_AWAY = Metric(
    "bastion_store_away_seconds",
    Type.GAUGE,
    "Seconds that the object store has been away, 0 while it is there.",
)
EVENTS = Metric(
    "bastion_events_waiting", Type.GAUGE, "Events that wait to be written into the log of events."
)
ARREARS = Metric(
    "bastion_arrears", Type.GAUGE, "Ends of sessions and connections that wait for the database."
)
EVENTS_LOST = Metric(
    "bastion_events_lost_total",
    Type.COUNTER,
    "Events that could not be written; the log has how many.",
)
MESSAGES = Metric(
    "bastion_messages_waiting", Type.GAUGE, "Messages to people that are still on their way."
)
SILENT = Metric(
    "bastion_database_silent_seconds",
    Type.GAUGE,
    "Seconds since the database answered the question about live sessions.",
)
SIGNER = Metric(
    "bastion_signer_silent_seconds",
    Type.GAUGE,
    "Seconds that the signer has given no answer; 0 where it does, or where there is none.",
)
LAG = Metric(
    "bastion_loop_lag_seconds",
    Type.GAUGE,
    "The longest that the process kept anybody waiting, since it last gave a sign.",
)
PROCESSOR = Metric("bastion_process_cpu_seconds_total", Type.COUNTER, "Seconds of processor time.")
MEMORY = Metric(
    "bastion_process_resident_bytes", Type.GAUGE, "Memory that is in use, as the system has it."
)
TASKS = Metric(
    "bastion_process_tasks", Type.GAUGE, "Tasks on the loop: a few, and some for each connection."
)
THREADS = Metric("bastion_process_threads", Type.GAUGE, "Threads.")
DESCRIPTORS = Metric(
    "bastion_process_open_descriptors",
    Type.GAUGE,
    "Files and sockets that are open; from Linux 6.2 on.",
)
MOST_DESCRIPTORS = Metric(
    "bastion_process_max_descriptors",
    Type.GAUGE,
    "Files and sockets that the system lets the process have open.",
)
READY = Metric(
    "bastion_process_ready", Type.GAUGE, "1 where the process gives signs that it is there, else 0."
)
STARTS = Metric(
    "bastion_process_starts_total", Type.COUNTER, "Starts of the process: each but one is a loss."
)
HEALTHY = Metric(
    "bastion_healthy", Type.GAUGE, "1 where new sessions can begin, as /healthz says, else 0."
)

ALL: Final = (
    HEALTHY,
    LIVE,
    BEGUN,
    ENDED,
    FELT,
    ANSWERS,
    DOOR,
    HANDSHAKE,
    TARGET,
    CONNECTIONS,
    LIMITS,
    FAILED,
    RELAYED,
    BEHIND,
    FREE,
    ROOM,
    UNSEALED,
    UNSTORED,
    UNSTORED_BYTES,
    UNSTORED_SECONDS,
    STORE_BEHIND,
    STORE_BEHIND_BYTES,
    STORE_AWAY,
    EVENTS,
    ARREARS,
    EVENTS_LOST,
    MESSAGES,
    SILENT,
    SIGNER,
    LAG,
    PROCESSOR,
    MEMORY,
    TASKS,
    THREADS,
    DESCRIPTORS,
    MOST_DESCRIPTORS,
    READY,
    STARTS,
)

SAMPLES: Final = {name: (metric, labels) for metric in ALL for name, labels in metric.samples()}
"""Each name that samples have, with its metric and its labels."""

LASTING: Final = frozenset(
    name for name, (metric, _) in SAMPLES.items() if metric.type is not Type.GAUGE
)
"""The names of what is added up: it outlives the process that counted it."""


class Meters:
    """The numbers of one process. For one thread."""

    def __init__(self) -> None:
        self._figures: dict[Key, float] = {}

    def count(self, metric: Metric, *labels: str, by: float = 1) -> None:
        """So many more."""
        self._add((metric.name, *labels), by)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """So many now."""
        self._figures[metric.name, *labels] = float(value)

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """It took so long. Each bucket has what those below it have."""
        bounds = [f"{bound:g}" for bound in metric.bounds if seconds <= bound]
        for le in (*bounds, INFINITE):
            self._add((f"{metric.name}_bucket", *labels, le), 1)
        self._add((f"{metric.name}_sum", *labels), seconds)
        self._add((f"{metric.name}_count", *labels), 1)

    def figures(self) -> Figures:
        """All of them, as they are now."""
        return dict(self._figures)

    def _add(self, key: Key, by: float) -> None:
        self._figures[key] = self._figures.get(key, 0.0) + by


LARGEST = 1e18
"""Of a figure: sums of them stay numbers."""


def known(key: Key, value: float) -> bool:
    """Whether there may be such a sample."""
    found = SAMPLES.get(key[0]) if key else None
    if found is None or len(found[1]) != len(key) - 1 or not abs(value) <= LARGEST:
        return False
    return all(value in label.values for label, value in zip(found[1], key[1:], strict=True))


def added(figures: Iterable[Figures]) -> dict[Key, float]:
    """The sums of what lasts in these."""
    sums: dict[Key, float] = {}
    for each in figures:
        for key, value in each.items():
            if key[0] in LASTING:
                sums[key] = sums.get(key, 0) + value
    return sums


def exposition(processes: Mapping[str, Figures]) -> str:
    """The numbers of these processes in Prometheus' text format 0.0.4, each with its `process`.

    Of one whose name is empty, it has no such label.
    """
    lines: list[str] = []
    for metric in ALL:
        lines.append(f"# HELP {metric.name} {metric.help}")
        lines.append(f"# TYPE {metric.name} {metric.type}")
        for process, figures in processes.items():
            for name, labels in metric.samples():
                lines += _lines(process, name, labels, figures)
    return "".join(f"{line}\n" for line in lines)


def _lines(process: str, name: str, labels: tuple[Label, ...], figures: Figures) -> Iterator[str]:
    names = [label.name for label in labels]
    for key in sorted((key for key in figures if key[0] == name), key=_order):
        pairs = [*zip(names, key[1:], strict=True)]
        if process:
            pairs.insert(0, ("process", process))
        said = ",".join(f'{label}="{value}"' for label, value in pairs)
        yield f"{name}{{{said}}} {figures[key]!r}" if said else f"{name} {figures[key]!r}"


def _order(key: Key) -> tuple[object, ...]:
    """By labels; buckets by their bounds."""
    if not key[0].endswith("_bucket"):
        return key
    return (*key[:-1], float(key[-1]))
