"""What is fuzzed: a reader of what strangers send, and what has to be true whatever that is.

Each takes bytes, and raises where a promise is broken. That something is refused is no failure.
"""

import io
import re
import shlex
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

from bastion.authority import read_public_key
from bastion.commands import parse
from bastion.errors import BadInput, Misconfigured
from bastion.files import parse_files
from bastion.forwards import parse_forward
from bastion.proxied import LONGEST, SIGNATURE, read_header
from bastion.rules import parse_rules
from bastion.scp import Scp, recognise
from bastion.scp.records import Entry, parse_record
from bastion.sftp import Proxy
from bastion.sftp.answers import Version, parse_answer, write_answer
from bastion.sftp.fields import write_text
from bastion.sftp.framer import Framer
from bastion.sftp.packets import Init, Malformed, Unknown, framed, parse_request, write_request
from bastion.templates import parse_template
from bastion.wire.keys import certificate, plain_key
from recorder import CorruptRecording, FileEvent, Reader
from recorder.asciicast import (
    Code,
    Event,
    Header,
    Note,
    event_line,
    parse_event,
    parse_header,
)
from recorder.compacted import keyframe_at, read_keyframe, read_points
from recorder.picture import Picture
from recorder.scene import scene_at
from recorder.transfers import escaped, unescaped
from tests.fuzz import reading, recordings, signer, typing

_HEADER = Header(80, 24, 0, "")
_EVENT = Event(0.0, Code.OUT, "x\x1b[31m\r\n")
_RESIZE = Event(0.0, Code.RESIZE, "132x50")

Target = Callable[[bytes], None]

_INIT = framed(b"\1\0\0\0\3")
_VERSION = framed(b"\2\0\0\0\3" + b"".join(map(write_text, (b"limits@openssh.com", b"1"))))
_HOME = framed(b"\x68\0\0\0\1\0\0\0\1" + write_text(b"/home/x") + write_text(b"") + bytes(4))
_FIRST_STEPS = frozenset({1, 16})
"""The packets that reach a target which has not answered: INIT and REALPATH."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def command(data: bytes) -> None:
    """What is let through has the same words for Python's shlex, and when it is read again."""
    try:
        found = parse(_text(data))
    except BadInput:
        return
    assert tuple(shlex.split(str(found))) == found.argv
    assert parse(str(found)) == found
    assert not re.search(r"[\\!\x00-\x1f\x7f]", "".join(found.argv))


def template(data: bytes) -> None:
    """What is shown is what was written; it lets through a line only once, and within itself."""
    try:
        found = parse_template(_text(data))
    except BadInput:
        return
    assert parse_template(str(found)) == found
    assert found.within(found)
    if found.exact is not None:
        assert found.matches(found.exact.argv)
    assert not found.matches((*(found.exact.argv if found.exact else ("x",)), "-x", "../x"))


def files(data: bytes) -> None:
    """A rule is itself when it is read again, and lets nothing through that climbs."""
    try:
        found = parse_files(_text(data))
    except BadInput:
        return
    assert parse_files(str(found)) == found
    assert found.within(found)
    assert not any(map(found.matches, (b"", b"etc/passwd", b"/a/../b", b"/a//b", b"/a/./b")))


def forward(data: bytes) -> None:
    """A pair is itself when it is read again."""
    try:
        found = parse_forward(_text(data))
    except BadInput:
        return
    assert parse_forward(str(found)) == found


def rules(data: bytes) -> None:
    """What is no policy is refused, and what is one says the same when it is read again."""
    try:
        found = parse_rules(_text(data), "policy.toml")
    except (BadInput, Misconfigured):
        return
    assert parse_rules(_text(data), "policy.toml") == found


def public_key(data: bytes) -> None:
    """A key is itself when its line is read again."""
    try:
        found = read_public_key(data)
    except BadInput:
        return
    line = f"{found.algorithm} {b64encode(found.blob).decode()}"
    assert read_public_key(line).blob == found.blob


def offered_key(data: bytes) -> None:
    """Whatever a stranger offers to sign in with is a key, a certificate, or nothing."""
    key, signed = plain_key(data), certificate(data)
    for each in (key, signed and signed.key):
        if each is not None:
            assert plain_key(each.public_data) == each


def sftp_request(data: bytes) -> None:
    """What a client asks, written anew, asks the same."""
    found = parse_request(data)
    if not isinstance(found, Malformed | Unknown | Init):
        assert parse_request(write_request(found)[4:]) == found


def sftp_answer(data: bytes) -> None:
    """What a target answers, written anew, answers the same."""
    found = parse_answer(data)
    if not isinstance(found, Malformed | Version):
        assert parse_answer(write_answer(found)[4:]) == found


def sftp_client(data: bytes) -> None:
    """Before a target has said what a path is, nothing about it is asked but that."""
    proxy = _begun()
    cut = data[0] if data else 0
    out = [proxy.from_client(data[1 : 1 + cut]), proxy.from_client(data[1 + cut :])]
    out += [proxy.client_eof(), proxy.ended("over")]
    for packet in Framer().feed(b"".join(part for each in out for part in each.to_target)):
        assert not isinstance(packet, Malformed)
        kind = packet[0]
        assert kind in _FIRST_STEPS or (kind == 200 and b"@openssh.com" in bytes(packet)), kind


def sftp_target(data: bytes) -> None:
    """Whatever a target answers, a client that asks for one file is told no path of its choice."""
    proxy = _begun()
    opening = b"\3\0\0\0\x07" + write_text(b"/srv/in/file") + b"\0\0\0\1" + bytes(4)
    proxy.from_client(framed(opening))
    out = [proxy.from_target(data), proxy.ended("over")]
    for packet in Framer().feed(b"".join(part for each in out for part in each.to_target)):
        assert not isinstance(packet, Malformed)
        if packet[0] == 3:
            length = int.from_bytes(packet[5:9], "big")
            assert parse_files("read:/srv/in/**").matches(bytes(packet[9 : 9 + length]))


def scp_command(data: bytes) -> None:
    """What is taken for scp is one path, and quoted it is the same run."""
    try:
        found = recognise(_text(data))
    except BadInput:
        return
    if found is not None:
        letters = "r" * found.recursive + "p" * found.times + "d" * found.directory
        options = [found.way.value, *(f"-{letter}" for letter in letters)]
        assert recognise(shlex.join(["scp", *options, "--", found.path])) == found


def scp_record(data: bytes) -> None:
    """A line is itself when it is read again, and a name stays in its directory."""
    try:
        found = parse_record(data)
    except BadInput:
        return
    if isinstance(found, Entry):
        assert b"/" not in found.name
        assert parse_record(found.encode()[:-1]) == found


def scp_client(data: bytes) -> None:
    """Whatever a client sends, before the target has answered it is asked for nothing but paths."""
    run = recognise("scp -r -t /srv/out")
    assert run is not None
    machine = Scp(run, _begun())
    cut = data[0] if data else 0
    out = [machine.from_client(data[1 : 1 + cut]), machine.from_client(data[1 + cut :])]
    out += [machine.client_eof(), machine.ended("over")]
    for packet in Framer().feed(b"".join(part for each in out for part in each.to_target)):
        assert not isinstance(packet, Malformed)
        assert packet[0] in _FIRST_STEPS or packet[0] == 200, packet[0]


def _begun() -> Proxy:
    proxy = Proxy((parse_files("read:/srv/in/**"), parse_files("write,1M:/srv/out/*")), "G-7")
    proxy.from_client(_INIT)
    proxy.from_target(_VERSION + _HOME)
    return proxy


def recording(data: bytes) -> None:
    """A line of a recording is an event, a header, or corrupt; a path is itself again."""
    assert unescaped(escaped(data)) == data
    with suppress(CorruptRecording):
        parse_header(data)
    try:
        event = parse_event(data)
    except CorruptRecording:
        return
    assert parse_event(event_line(event.time, event.code, event.data)) == event
    note = Note.of(event)
    try:
        told = FileEvent.of(note.facts) if note else None
    except ValueError:
        return
    if told is not None:
        again = FileEvent.of(told.facts())
        assert (again.path, again.other, again.bytes) == (told.path, told.other, told.bytes)


def proxied(data: bytes) -> None:
    """What a balancer says is a header within its bound that names an address or nobody, or it is
    refused; half of one is neither."""
    for said in (data, SIGNATURE + data):
        try:
            found = read_header(said)
        except BadInput:
            continue
        if found is None:
            assert len(said) < LONGEST
            continue
        assert 16 <= found.size <= min(LONGEST, len(said))
        assert found.source is None or ip_address(found.source).max_prefixlen in (32, 128)
        assert read_header(said[: found.size - 1]) is None


def compacted(data: bytes) -> None:
    """A file of any bytes has points that can be right or none, and a keyframe or none."""
    file = io.BytesIO(data)
    for point in read_points(file, None):
        assert 0 <= point.length <= point.offset
        keyframe = read_keyframe(keyframe_at(file, point))
        if keyframe is not None:
            assert max(len(keyframe.begun.out), len(keyframe.begun.err)) <= 3
            picture = Picture.going_on(_HEADER, keyframe)
            for event in (_EVENT, _RESIZE):
                picture.draw(event)
            assert "\x9b" not in picture.shown()


def compacted_recording(data: bytes) -> None:
    """A file of any bytes is read as far as it goes, from any time on, or it is corrupt."""
    with TemporaryDirectory() as place:
        path = Path(place) / "S-1.cast.zst"
        path.write_bytes(data)
        reader = Reader(path)
        with suppress(CorruptRecording):
            for _ in reader.events():
                pass
        with suppress(CorruptRecording):
            for _ in scene_at(reader, 2.5).drawn():
                pass


READERS: dict[str, Target] = {
    reader.__name__: reader
    for reader in (
        *(command, template, files, forward, rules, public_key, offered_key),
        *(sftp_request, sftp_answer, sftp_client, sftp_target, recording),
        *(scp_command, scp_record, scp_client, proxied),
        *(compacted, compacted_recording),
        *recordings.READERS,
        *typing.READERS,
        *reading.READERS,
        *signer.READERS,
    )
}
