"""Metrics: what is counted, as Prometheus reads it; what processes say of themselves; the docs."""

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as read_by_prometheus

from bastion import metrics
from bastion.bulletin import Bulletin, Said, Wrong
from bastion.denials import Reason
from bastion.metrics import ALL, Meters, Type
from recorder import EndReason, Kind

ROOT = Path(__file__).resolve().parents[2]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """The samples in an exposition, as Prometheus' own library for Python reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_by_prometheus(text)
        for sample in family.samples
    }


def sample(samples: Samples, name: str, **labels: str) -> float | None:
    """The value of one."""
    return samples.get((name, frozenset(labels.items())))


def full() -> Meters:
    """Meters with a value in every series."""
    meters = Meters()
    for metric in ALL:
        series: list[tuple[str, ...]] = [()]
        for label in metric.labels:
            series = [(*each, value) for each in series for value in label.values]
        for labels in series:
            if metric.type is Type.HISTOGRAM:
                meters.observe(metric, 0.3, *labels)
            else:
                meters.count(metric, *labels)
    return meters


# What is counted


def test_prometheus_reads_what_was_counted() -> None:
    """Counters, gauges and histograms, by their labels and by the process."""
    meters = Meters()
    meters.count(metrics.ANSWERS, "1", Reason.NO_GRANT)
    meters.count(metrics.ANSWERS, "1", Reason.NO_GRANT, by=2)
    meters.put(metrics.FREE, 12.5e9)
    meters.observe(metrics.TARGET, 0.3, "connected")
    meters.observe(metrics.TARGET, 70.0, "connected")
    found = read(metrics.exposition({"worker 1": meters.figures()}))
    one = {"process": "worker 1"}
    refused = sample(found, "bastion_door_answers_total", door="1", answer="no-grant", **one)
    assert refused == 3
    assert sample(found, "bastion_recorder_free_bytes", **one) == 12.5e9
    name, one["result"] = "bastion_target_connect_seconds", "connected"
    buckets = {le: sample(found, f"{name}_bucket", le=le, **one) for le in ("0.5", "30", "+Inf")}
    assert buckets == {"0.5": 1, "30": 1, "+Inf": 2}
    assert sample(found, f"{name}_sum", **one) == 70.3
    assert sample(found, f"{name}_count", **one) == 2


def test_all_that_there_is_is_read_and_bounded() -> None:
    """With each label at each of its values there are some hundred series, and a sign has room."""
    figures = full().figures()
    found = read(metrics.exposition({"worker 1": figures}))
    assert len(found) == len(figures) < 500
    assert {family.type for family in read_by_prometheus(metrics.exposition({}))} == set(Type)
    assert len(Said(figures, tuple(Wrong)).encoded()) < 64 * 1024


def test_names_are_as_prometheus_wants_them() -> None:
    """A counter ends in _total, a time in _seconds, a size in _bytes; each name is used once."""
    assert len({metric.name for metric in ALL}) == len(ALL)
    for metric in ALL:
        assert re.fullmatch(r"bastion(_[a-z]+)+", metric.name)
        assert metric.name.endswith("_total") == (metric.type is Type.COUNTER), metric.name
        assert metric.help.endswith(".")
        assert "\\" not in metric.help
        assert "\n" not in metric.help


def test_no_label_tells_who_or_where() -> None:
    """Labels have a list of values that is known beforehand: kinds, reasons, doors."""
    names = {label.name for metric in ALL for label in metric.labels}
    assert names == {"kind", "reason", "door", "answer", "result", "state", "direction", "limit"}


# What processes say of themselves


def test_counters_outlive_a_process_and_gauges_do_not() -> None:
    """A worker that is killed and started again goes on counting where it was."""
    bulletin, meters = Bulletin(["worker 1", "worker 2"]), Meters()
    meters.count(metrics.BEGUN, Kind.SHELL, by=3)
    meters.put(metrics.LIVE, 2, Kind.SHELL)
    meters.observe(metrics.DOOR, 0.02)
    for name in ("worker 1", "worker 2"):
        bulletin.started(name)
        bulletin.heard(name, Said(meters.figures()))
    assert bulletin.wrong() == []
    assert bulletin.live() == 4
    bulletin.ended("worker 1")
    bulletin.ended("worker 1")
    found = read(bulletin.exposition())
    one, two = {"process": "worker 1"}, {"process": "worker 2"}
    assert sample(found, "bastion_sessions_begun_total", kind="shell", **one) == 3
    assert sample(found, "bastion_sessions_live", kind="shell", **one) is None
    assert sample(found, "bastion_sessions_live", kind="shell", **two) == 2
    assert sample(found, "bastion_process_ready", **one) == 0
    assert sample(found, "bastion_healthy") == 0
    assert bulletin.wrong() == ["worker 1"]
    assert bulletin.live() == 2
    bulletin.started("worker 1")
    again = Meters()
    again.count(metrics.BEGUN, Kind.SHELL)
    bulletin.heard("worker 1", Said(again.figures()))
    found = read(bulletin.exposition())
    assert sample(found, "bastion_sessions_begun_total", kind="shell", **one) == 4
    assert sample(found, "bastion_door_seconds_count", **one) == 1
    assert sample(found, "bastion_process_starts_total", **one) == 2
    assert sample(found, "bastion_healthy") == 1


def test_what_is_wrong_is_said_once_for_all() -> None:
    """A word for each reason, and each process that is not there."""
    bulletin = Bulletin(["steward", "worker 1", "worker 2"])
    bulletin.heard("worker 1", Said(wrong=(Wrong.DISK, Wrong.DATABASE)))
    bulletin.heard("worker 2", Said(wrong=(Wrong.DISK,)))
    assert bulletin.wrong() == ["database", "disk", "steward"]


def test_a_sign_comes_through_as_it_was_said() -> None:
    """Every series there is."""
    said = Said(full().figures(), (Wrong.CLOCK,))
    assert Said.decoded(said.encoded()) == said


def test_what_a_process_must_not_say_is_not_taken() -> None:
    """Names, labels and values that there are not: somebody may have taken the process over."""
    name = "bastion_sessions_live"
    wrong = [
        [name, 1],
        [name, "shell", "x", 1],
        [name, 'she"ll\n', 1],
        ["up", 1],
        [name, "shell", float("inf")],
        [1],
    ]
    assert Said.decoded(json.dumps([wrong, []]).encode()) == Said()
    for data in (b".", b"", b"[[], 3]", b"[[], ['x']]", b'[["x"],[]]', b"[" * 100_000, b"\xff"):
        assert Said.decoded(data) == Said()
    assert Said.decoded(b'[[["bastion_loop_lag_seconds",' + b"9" * 400 + b"]],[]]") == Said()


def test_no_sum_of_what_processes_say_is_too_large() -> None:
    """Who looks after the processes counts what is live, and must not fall over it."""
    figures = [["bastion_sessions_live", kind, 1.7e308] for kind in ("shell", "exec")]
    bulletin = Bulletin(["worker 1"])
    bulletin.heard("worker 1", Said.decoded(json.dumps([figures, []]).encode()))
    assert bulletin.live() == 0


@given(st.recursive(st.none() | st.floats() | st.text() | st.integers(), st.lists))
def test_whatever_a_process_says_can_be_shown(said: object) -> None:
    """Never an exception, never a line that is not ours."""
    bulletin = Bulletin(["worker 1"])
    bulletin.heard("worker 1", Said.decoded(json.dumps(said).encode()))
    read(bulletin.exposition())


# The docs, the dashboard, the rules


def test_the_docs_have_each_metric() -> None:
    """docs/metrics.md: a row for each, with its type, its labels and what it is."""
    page = (ROOT / "docs/metrics.md").read_text()
    rows = re.findall(r"^\| `(bastion_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", page, re.MULTILINE)
    assert rows == [
        (m.name, m.type.value, ", ".join(label.name for label in m.labels), m.help) for m in ALL
    ]


def test_the_dashboard_and_the_rules_ask_for_what_there_is() -> None:
    """Each name in them is one that samples have, and each metric is looked at somewhere."""
    there = set(metrics.SAMPLES)
    asked: set[str] = set()
    for name in ("grafana/bastion.json", "prometheus/rules.yml"):
        asked |= set(re.findall(r"bastion_\w+", (ROOT / "deploy" / name).read_text()))
    assert asked - there == set()
    shown = {metrics.SAMPLES[name][0] for name in asked}
    assert set(ALL) - shown == set()


def test_the_rules_say_what_to_do() -> None:
    """Each alert has a time that it has to last, a severity, and a sentence."""
    rules = (ROOT / "deploy/prometheus/rules.yml").read_text()
    alerts = re.split(r"^ +- alert: ", rules, flags=re.MULTILINE)[1:]
    assert len(alerts) >= 8
    for alert in alerts:
        for needed in ("expr:", "for:", "severity:", "summary:", "description:"):
            assert needed in alert, alert


def test_reasons_are_counted_that_sessions_end_by() -> None:
    """What is felt late is what is due at a moment."""
    assert set(metrics.FELT.labels[0].values) <= {reason.value for reason in EndReason}
