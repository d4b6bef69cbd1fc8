"""Sinks: a real file, real sockets, and what becomes of lines while they are away."""

import os
import resource
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from bastion import sinks
from bastion.errors import BadInput, Unavailable
from bastion.events import Chain, Details, Happened, What, digest_of, following
from bastion.outlets import item_of
from bastion.sinks import FileSink, Item, SyslogSink
from bastion.syslog import Address, Entry, Way, framed, message, parse_address
from tests.bastion import receivers
from tests.bastion.receivers import Received, datagrams, parsed, port_of, streams
from tests.bastion.worlds import NOW

CHAIN = Chain("web-1.example.org", "0123456789abcdef")


def item(number: int, what: What = What.SESSION_STARTED, size: int = 0) -> Item:
    """An event of that number."""
    details: dict[str, Details] = {str(n): "x" * 1000 for n in range(size)}
    return item_of(following(number, CHAIN, None, Happened(what, "alice", details=details), NOW))


def ids(file: Path) -> list[int]:
    """The numbers of the lines in a file."""
    return [orjson.loads(line)["id"] for line in file.read_bytes().splitlines()]


# The file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a log is to be."""
    return tmp_path / "events.jsonl"


@pytest.fixture
def sink(file: Path) -> Iterator[FileSink]:
    """Writes there."""
    sink = FileSink(file)
    yield sink
    sink.close()


def test_a_file_has_a_line_for_each_event(file: Path, sink: FileSink) -> None:
    """That can be checked by itself; nobody else may read it."""
    sink.send([item(1), item(2)])
    sink.send([item(3)])
    assert ids(file) == [1, 2, 3]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for line in file.read_bytes().splitlines():
        read = orjson.loads(line)
        assert read.pop("hash") == digest_of(read)


def test_what_is_in_a_file_stays(file: Path) -> None:
    """Another life of the bastion goes on below, with the mode that somebody gave it."""
    file.write_bytes(item(1).entry.text + b"\n")
    file.chmod(0o640)
    sink = FileSink(file)
    sink.send([item(2)])
    sink.close()
    assert ids(file) == [1, 2]
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_file_that_was_moved_away_is_begun_anew(file: Path, sink: FileSink) -> None:
    """As logrotate does it; the old one is not written to any more."""
    sink.send([item(1)])
    file.rename(file.with_suffix(".1"))
    sink.send([item(2)])
    file.unlink()
    sink.send([item(3)])
    assert ids(file.with_suffix(".1")) == [1]
    assert ids(file) == [3]


def test_a_line_that_was_cut_short_spoils_no_other(file: Path, sink: FileSink) -> None:
    """The next one begins on a line of its own."""
    file.write_bytes(b'{"id":1,"wh')
    sink.send([item(1)])
    assert file.read_bytes().startswith(b'{"id":1,"wh\n{"account"')


def test_a_full_disk_is_a_sentence(file: Path, sink: FileSink) -> None:
    """And what was cut short by it spoils no other line either."""
    sink.send([item(1)])
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 10, hard))
    try:
        with pytest.raises(Unavailable, match=r"events\.jsonl can't be written: File too large\."):
            sink.send([item(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    sink.send([item(2)])
    first, torn, second = file.read_bytes().splitlines()
    assert (orjson.loads(first)["id"], orjson.loads(second)["id"]) == (1, 2)
    assert len(torn) == 10


def test_a_link_is_not_followed(file: Path, sink: FileSink, tmp_path: Path) -> None:
    """Somebody could have put it there."""
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable, match="can't be written"):
        sink.send([item(1)])
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["fifo", "directory", "nowhere"])
def test_what_is_no_file_is_a_sentence(file: Path, sink: FileSink, kind: str) -> None:
    """Nobody waits for a reader; once it is a file again, it is written to."""
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    else:
        file.parent.rename(file.parent.with_name("moved"))
    with pytest.raises(Unavailable, match="can't be written"):
        sink.send([item(1)])
    if kind == "fifo":
        file.unlink()
    elif kind == "directory":
        file.rmdir()
    else:
        file.parent.with_name("moved").rename(file.parent)
    sink.send([item(1)])
    assert ids(file) == [1]


# Syslog, as it is written


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/dev/log", Address(Way.UNIX, "/dev/log")),
        ("udp://192.0.2.1", Address(Way.UDP, "192.0.2.1", 514)),
        ("udp://log.example.org:5514", Address(Way.UDP, "log.example.org", 5514)),
        ("tcp://log.example.org", Address(Way.TCP, "log.example.org", 601)),
        ("tcp://[2001:db8::1]:6514", Address(Way.TCP, "2001:db8::1", 6514)),
    ],
)
def test_an_address_is_read(text: str, address: Address) -> None:
    """And comes out so that it can be read again."""
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["", "dev/log", "http://x", "udp://", "udp://x y", "tcp://x:0", "tls://x", "/a\nb"]
)
def test_what_is_no_address_is_a_sentence(text: str) -> None:
    """With the mend."""
    with pytest.raises(BadInput, match=r"write|port|use"):
        parse_address(text)


def test_a_message_is_as_rfc_5424_wants_it() -> None:
    """authpriv, a notice; or a warning for what was refused or failed."""
    said = message(item(1).entry)
    begins = b"<85>1 2026-11-23T12:00:00.000000Z web-1.example.org bastion 0123456789abcdef "
    assert said.startswith(begins + b'session.started - {"account":null,')
    assert message(item(1, What.DOOR_REFUSED).entry).startswith(b"<84>1 ")
    assert framed(b"<85>1 x") == b"7 <85>1 x"


def test_a_field_of_the_header_is_ascii_without_blanks() -> None:
    """Whatever the machine is called."""
    entry = Entry(NOW, "my host é", "", "x" * 40, b"{}")
    assert b" my_host__ bastion - " + b"x" * 32 + b" - {}" in message(entry)


# Syslog on this machine


def test_a_socket_of_this_machine_takes_all(tmp_path: Path) -> None:
    """As /dev/log does; also when its daemon was started anew meanwhile."""
    path = tmp_path / "log"
    sink = SyslogSink(parse_address(str(path)))
    with pytest.raises(Unavailable, match=r"can't be reached: No such file or directory\."):
        sink.send([item(1)])
    with datagrams(receivers.unix(path)) as received:
        sink.send([item(1), item(2)])
        received.wait_for(2)
    with pytest.raises(Unavailable, match="Connection refused"):
        sink.send([item(3)])
    path.unlink()
    with datagrams(receivers.unix(path), received):
        sink.send([item(3)])
        received.wait_for(3)
    sink.close()
    assert received.ids == [1, 2, 3]
    assert parsed(received.messages[0])["boot"] == b"0123456789abcdef"


def test_a_daemon_that_does_not_read_makes_nobody_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is full, and after a while that is a sentence."""
    monkeypatch.setattr(sinks, "PATIENCE", 0.05)
    sink = SyslogSink(parse_address(str(tmp_path / "log")))
    deaf = receivers.unix(tmp_path / "log")
    with pytest.raises(Unavailable, match="it does not answer in time"):
        sink.send([item(number) for number in range(1, 5000)])
    sink.close()
    deaf.close()


# Syslog elsewhere


def test_datagrams_arrive() -> None:
    """In their order, on loopback."""
    bound = receivers.udp()
    sink = SyslogSink(Address(Way.UDP, "127.0.0.1", port_of(bound)))
    with datagrams(bound) as received:
        sink.send([item(number) for number in range(1, 21)])
        received.wait_for(20)
    sink.close()
    assert received.ids == list(range(1, 21))


def test_a_machine_that_says_nobody_listens_is_heard() -> None:
    """So that what was sent is sent again, and not lost."""
    port = closed_port()
    sink = SyslogSink(Address(Way.UDP, "127.0.0.1", port))
    for _ in range(3):
        with pytest.raises(Unavailable, match="Connection refused"):
            sink.send([item(1)])
    with datagrams(receivers.udp(port)) as received:
        sink.send([item(1)])
        received.wait_for(1)
    sink.close()
    assert received.ids == [1]


def test_a_name_that_is_not_known_is_a_sentence() -> None:
    """Nothing is looked up before something is sent."""
    sink = SyslogSink(Address(Way.UDP, "nowhere.invalid", 514))
    with pytest.raises(Unavailable, match=r"udp://nowhere\.invalid:514 can't be reached"):
        sink.send([item(1)])


def test_what_fits_no_datagram_goes_without_its_details() -> None:
    """The line says how long it was."""
    long = Item(item(7).entry, b'{"id":7,"details":{"too_long":99}}')
    entry = Entry(NOW, "a", "b", "c", b"x" * 70_000)
    bound = receivers.udp()
    sink = SyslogSink(Address(Way.UDP, "127.0.0.1", port_of(bound)))
    with datagrams(bound) as received:
        sink.send([Item(entry, long.short), item(8, size=25)])
        received.wait_for(2)
    sink.close()
    assert received.ids == [7, 8]


def closed_port() -> int:
    """A port on which nobody listens."""
    bound = receivers.udp()
    port = port_of(bound)
    bound.close()
    return port


def test_a_stream_carries_messages_with_their_lengths() -> None:
    """Many at once, and over one connection."""
    listening = receivers.tcp()
    sink = SyslogSink(Address(Way.TCP, "127.0.0.1", port_of(listening)))
    with streams(listening) as received:
        sink.send([item(number) for number in range(1, 501)])
        sink.send([item(501, size=25)])
        received.wait_for(501)
        sink.close()
    assert received.ids == list(range(1, 502))


def test_a_stream_that_was_closed_is_made_anew() -> None:
    """What is sent after its end is not lost in it."""
    listening = receivers.tcp()
    port = port_of(listening)
    sink = SyslogSink(Address(Way.TCP, "127.0.0.1", port))
    received = Received()
    with streams(listening, received):
        sink.send([item(1)])
        received.wait_for(1)
    with pytest.raises(Unavailable, match="Connection refused"):
        sink.send([item(2)])
    with streams(receivers.tcp(port), received):
        sink.send([item(2)])
        received.wait_for(2)
        sink.close()
    assert received.ids == [1, 2]


def test_a_receiver_that_does_not_read_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its machine has not acknowledged does not count as sent."""
    monkeypatch.setattr(sinks, "PATIENCE", 0.2)
    listening = receivers.tcp()
    sink = SyslogSink(Address(Way.TCP, "127.0.0.1", port_of(listening)))
    more_than_fits = [item(number, size=20) for number in range(1, 1000)]
    with pytest.raises(Unavailable, match="does not"):
        sink.send(more_than_fits)
    listening.close()


def test_a_wait_can_be_ended_from_another_thread() -> None:
    """The service goes down; the receiver does not read."""
    listening = receivers.tcp()
    sink = SyslogSink(Address(Way.TCP, "127.0.0.1", port_of(listening)))
    failed: list[Exception] = []

    def send() -> None:
        try:
            while True:
                sink.send([item(number, size=20) for number in range(1, 300)])
        except Unavailable as error:
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    connection, _ = listening.accept()
    connection.recv(1, socket.MSG_PEEK)
    sink.interrupt()
    thread.join(sinks.PATIENCE / 2)
    assert not thread.is_alive()
    assert failed
    connection.close()
    listening.close()
