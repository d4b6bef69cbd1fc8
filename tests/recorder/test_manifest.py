"""Manifests: one written form, read back to the byte; anything else is one sentence."""

import string
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import CorruptRecording
from recorder.manifest import Held, Manifest, Part, read_manifest, sha256_of
from recorder.session import EndReason, Kind, storable

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HASH = "5e" * 32

PLAIN = Manifest(
    number=2,
    session=31,
    connection=31,
    user="alice",
    grant=7,
    host="web-1",
    login="deploy",
    kind=Kind.EXEC,
    command="uname -a",
    source="192.0.2.7",
    started_at=AT,
    ended_at=AT + timedelta(seconds=3),
    end_reason=EndReason.CLOSED,
    exit_status=0,
    exit_signal=None,
    bytes_in=0,
    bytes_out=12,
    events=3,
    files=(Part("S-31.cast", HASH, 200), Part("S-31.sent", HASH, 40)),
    checkpoint=None,
    previous=HASH,
    sealed_at=AT + timedelta(seconds=4),
    node="gate",
)

numbers = st.integers(0, 2**63 - 1)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.text(max_size=20).map(lambda text: storable(text.encode("utf-8", "replace").decode()))
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1))  # noqa: DTZ001
parts = st.builds(
    Part, st.sampled_from(["S-1.cast", "S-31-2.sent", "S-7.cast.zst.age"]), hashes, numbers
)
manifests = st.builds(
    Manifest,
    **dict.fromkeys(("number", "session", "connection", "grant"), numbers),
    **dict.fromkeys(("bytes_in", "bytes_out", "events"), numbers),
    **dict.fromkeys(("user", "host", "login", "source", "node"), texts),
    **dict.fromkeys(("started_at", "ended_at", "sealed_at"), moments),
    kind=st.sampled_from(Kind),
    command=st.none() | texts,
    end_reason=st.sampled_from(EndReason),
    exit_status=st.none() | numbers,
    exit_signal=st.none() | texts,
    files=st.lists(parts, max_size=2).map(tuple),
    checkpoint=st.none() | st.sampled_from(Held),
    previous=st.none() | hashes,
)


@given(manifests)
def test_what_was_written_is_read_back(manifest: Manifest) -> None:
    """And written again it is the same line."""
    text = manifest.text()
    assert text.count("\n") == 1
    assert text.endswith("}\n")
    assert read_manifest(text) == manifest


def test_it_is_one_line_with_its_keys_in_order() -> None:
    """Names are the contract's; no blanks, times in UTC to the microsecond."""
    text = PLAIN.text()
    names = list(orjson.loads(text))
    assert names == sorted(names)
    assert '"session":"S-31"' in text
    assert '"started_at":"2026-11-23T12:00:00.000000Z"' in text
    assert f'"files":[{{"name":"S-31.cast","sha256":"{HASH}","size":200}}' in text
    assert len(sha256_of(text)) == 64


@given(manifests, st.data())
def test_a_changed_character_never_reads_as_the_same(
    manifest: Manifest, data: st.DataObject
) -> None:
    """Either it is no manifest any more, or it is another one."""
    text = manifest.text()
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from(string.printable))
    changed = text[:place] + other + text[place + 1 :]
    if changed == text:
        return
    with suppress(CorruptRecording):
        assert read_manifest(changed) != manifest


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers(), st.lists).map(repr))
def test_what_is_no_manifest_is_one_sentence(text: str) -> None:
    """Whatever it is."""
    with pytest.raises(CorruptRecording, match=r"^the manifest .*$"):
        read_manifest(text)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("session", "31", "session is not written S-N"),
        ("session", "S-" + "9" * 30, "session is not written S-N"),
        ("bytes_in", -1, "bytes_in is not a number"),
        ("bytes_in", True, "bytes_in is not a number"),
        ("previous", "5E" * 32, "previous is not a SHA-256"),
        ("started_at", "2026-11-23T12:00:00", "started_at is a time without a zone"),
        ("started_at", "yesterday", "started_at"),
        ("kind", "dance", "dance"),
        ("files", [{"name": "../x", "sha256": HASH, "size": 1}], "a name that no recording has"),
        ("files", [{"name": "S-1.cast", "size": 1}], "it lacks sha256"),
        ("files", 3, "files are not a list of at most 3"),
        ("more", 1, "not written as manifests are"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object, said: str) -> None:
    """In one sentence."""
    told = orjson.loads(PLAIN.text()) | {name: value}
    with pytest.raises(CorruptRecording, match=said):
        read_manifest(orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode() + "\n")


def test_a_manifest_without_something_is_none() -> None:
    """Nothing has a value that nobody wrote."""
    told = orjson.loads(PLAIN.text())
    for name in told:
        less = {key: value for key, value in told.items() if key != name}
        with pytest.raises(CorruptRecording, match=f"it lacks {name}"):
            read_manifest(orjson.dumps(less, option=orjson.OPT_SORT_KEYS).decode() + "\n")


def test_one_file_of_a_manifest() -> None:
    """By its suffix; a recording whose file was lost has none."""
    assert PLAIN.part(".cast") == PLAIN.files[0]
    assert replace(PLAIN, files=()).part(".cast") is None
