"""The signer: what it signs, what it writes down, and whom it answers."""

import hashlib
import json
import logging
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion import probe
from bastion.authority import Which
from bastion.authority.certificates import EARLY, For, Order, encoded, issue
from bastion.authority.keyring import load_cas
from bastion.authority.sshsig import sign
from bastion.errors import Conflict, Misconfigured, Unavailable
from bastion.ledger import SerialTaken
from bastion.signing import frames, judge, service
from bastion.signing.book import NOTHING, Book
from bastion.signing.client import SignerClient
from bastion.signing.judge import Bench, NotSigned, judged
from bastion.signing.limits import Limits
from bastion.signing.pace import RESERVE, Pace
from bastion.signing.serials import LEAP, WINDOW, Serials
from bastion.store.copying import GAP
from cli.backup.members import NAMESPACE as BACKUP
from cli.evidence.facts import NAMESPACE as EVIDENCE
from tests.bastion.signers import Running
from tests.bastion.test_certificates import ALICE, CA

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TOML = """\
accounts = ["{uid}"]
socket = "{socket}"
[target]
logins = ["deploy", "backup"]
shell = ["deploy"]
hosts = ["web-*"]
rate = {rate}
[host]
names = ["bastion", "127.0.0.1"]
"""


def limits(directory: Path = Path("/s"), uid: int | None = None, rate: float = 100.0) -> str:
    """A `signer.toml`; `uid` is whom it answers."""
    whom = os.geteuid() if uid is None else uid
    return TOML.format(uid=whom, socket=directory / "socket", rate=rate)


BENCH = Bench(Limits.parse(limits(), Path("signer.toml")), CA.public)


def order(**more: object) -> Order:
    """What a connection to a target takes."""
    plain: dict[str, object] = {
        "kind": For.USER,
        "key": ALICE,
        "serial": 53,
        "key_id": "C-31 alice G-7",
        "principals": ("deploy", "deploy@web-1"),
        "valid_after": NOW - EARLY,
        "valid_before": NOW + MINUTE,
        "pty": True,
    }
    return Order(**plain | more)  # type: ignore[arg-type]


def user(**more: object) -> Order:
    """What a contractor takes."""
    plain: dict[str, object] = {
        "key_id": "alice C-53",
        "principals": ("alice", "C-53"),
        "valid_after": NOW,
        "valid_before": NOW + 8 * 60 * MINUTE,
    }
    return order(**plain | {"forwarding": True} | more)


def host(**more: object) -> Order:
    """What stands for a target."""
    plain: dict[str, object] = {
        "kind": For.HOST,
        "key": CA.public,
        "serial": 0,
        "key_id": "host web-1",
        "principals": ("web-1",),
        "valid_before": NOW + timedelta(days=1),
        "pty": False,
    }
    return order(**plain | more)


def refused(which: Which, wanted: Order) -> str:
    """Why it is not signed; empty where it is."""
    try:
        judged(encoded(wanted, CA.public, bytes(32)), which, CA.public, BENCH, NOW)
    except NotSigned as error:
        return str(error)
    return ""


def test_what_the_bastion_asks_for_is_signed() -> None:
    """A shell, a command, files, a forward, a look at a host's clock; users; hosts; itself."""
    target = Which.TARGET_CA
    assert refused(target, order()) == ""
    assert (
        refused(target, order(force_command="uptime", principals=("backup", "backup@web-1"))) == ""
    )
    assert refused(target, order(force_command="/bin/false", forwarding=True, pty=False)) == ""
    look = {"key_id": "check web-1", "force_command": probe._ASK_CLOCK, "pty": False}
    assert refused(target, order(**look)) == ""
    assert refused(Which.USER_CA, user()) == ""
    assert refused(Which.HOST_CA, host()) == ""
    own = {"key_id": "host bastion", "principals": ("bastion", "127.0.0.1")}
    assert refused(Which.HOST_CA, host(**own, valid_before=NOW + timedelta(days=3650))) == ""
    assert EVIDENCE == judge.EVIDENCE
    assert BACKUP == judge.BACKUP


DAY = timedelta(days=1)
REFUSED: dict[str, tuple[Which, dict[str, object]]] = {
    "a login that is not allowed": (Which.TARGET_CA, {"principals": ("root", "root@web-1")}),
    "a host that is not allowed": (Which.TARGET_CA, {"principals": ("deploy", "deploy@db-1")}),
    "somebody else beside": (Which.TARGET_CA, {"principals": ("deploy", "root@web-1")}),
    "one more principal": (Which.TARGET_CA, {"principals": ("deploy", "deploy@web-1", "root")}),
    "one principal": (Which.TARGET_CA, {"principals": ("deploy",)}),
    "two minutes": (Which.TARGET_CA, {"valid_before": NOW + 2 * MINUTE}),
    "an hour early": (Which.TARGET_CA, {"valid_after": NOW - 60 * MINUTE}),
    "later on": (
        Which.TARGET_CA,
        {"valid_after": NOW + DAY, "valid_before": NOW + DAY + MINUTE},
    ),
    "a shell for a login without": (Which.TARGET_CA, {"principals": ("backup", "backup@web-1")}),
    "a shell for no grant": (Which.TARGET_CA, {"key_id": "C-31 alice"}),
    "nobody's name": (Which.TARGET_CA, {"key_id": "C-31 \x1b[2J G-7"}),
    "a name that a log ends at": (Which.TARGET_CA, {"key_id": "C-31 alice\0mallory G-7"}),
    "a command to look": (Which.TARGET_CA, {"key_id": "check web-1", "force_command": "id"}),
    "a shell to look": (Which.TARGET_CA, {"key_id": "check web-1"}),
    "a look elsewhere": (
        Which.TARGET_CA,
        {"key_id": "check web-2", "force_command": "date +%s", "pty": False},
    ),
    "a forward with a shell": (Which.TARGET_CA, {"forwarding": True}),
    "no serial": (Which.TARGET_CA, {"serial": 0}),
    "a host by the target CA": (Which.TARGET_CA, {"kind": For.HOST}),
    "a target by the user CA": (Which.USER_CA, {}),
    "a target by the host CA": (Which.HOST_CA, {}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_would_never_ask_for_is_not(name: str) -> None:
    """Whoever has taken the bastion over gets no more than the limits say."""
    which, more = REFUSED[name]
    assert refused(which, order(**more))


def test_users_and_hosts_have_limits_too() -> None:
    """Of time, of names, and of the key."""
    of_users: list[dict[str, object]] = [
        {"valid_before": NOW + 9 * 60 * MINUTE},
        {"valid_after": NOW - MINUTE},
        {"principals": ("alice", "C-54")},
        {"principals": ("alice", "C-53", "bob")},
        {"key_id": "bob C-53"},
        {"principals": ("root", "C-53"), "key_id": "root C-53"},
        {"force_command": "uptime"},
    ]
    of_hosts: list[dict[str, object]] = [
        {"key": ALICE},
        {"valid_before": NOW + timedelta(days=92)},
        {"principals": ("web-1", "web-2")},
        {"key_id": "host bastion", "principals": ("bastion", "127.0.0.1", "web-1")},
        {"pty": True},
    ]
    assert all(refused(Which.USER_CA, user(**more)) for more in of_users)
    assert all(refused(Which.HOST_CA, host(**more)) for more in of_hosts)


def test_a_body_that_is_written_another_way_is_not_signed() -> None:
    """An unknown option, an extension twice, a nonce of another length, a byte behind the end."""
    plain = encoded(order(), CA.public, bytes(32))
    pty = b"\0\0\0\x0apermit-pty\0\0\0\0"
    field, twice = len(pty).to_bytes(4) + pty, (2 * len(pty)).to_bytes(4) + 2 * pty
    assert plain.count(field) == 1
    other = pty.replace(b"permit-pty", b"permit-any")
    for body in (
        plain + b"\0",
        plain.replace(field, twice),
        plain.replace(field, len(other).to_bytes(4) + other),
        encoded(order(), CA.public, bytes(31)),
        encoded(order(), ALICE, bytes(32)),
        b"",
    ):
        with pytest.raises(NotSigned):
            judged(body, Which.TARGET_CA, CA.public, BENCH, NOW)


def test_seals_are_for_our_purposes_only() -> None:
    """A signature for git, or over bare bytes, is none of them."""

    class Asks:
        public = CA.public

        def sign(self, data: bytes) -> bytes:
            judged(data, Which.SEAL, CA.public, BENCH, NOW)
            return CA.sign(data)

    assert sign(Asks(), "recording@bastion", b"a manifest")
    for purpose in ("git", "file", "recording@bastion2"):
        with pytest.raises(NotSigned):
            sign(Asks(), purpose, b"a manifest")
    with pytest.raises(NotSigned):
        judged(encoded(order(), CA.public, bytes(32)), Which.SEAL, CA.public, BENCH, NOW)


# Serials and pace


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from("ab"))))
def test_a_serial_is_signed_for_one_body(asked: list[tuple[int, str]]) -> None:
    """However often and in whatever order it is asked for; and the next one is always free."""
    serials, first = Serials(), dict[int, str]()
    for serial, body in asked:
        takes = serials.takes(serial, body)
        assert takes == (first.get(serial, body) == body)
        if takes:
            serials.took(serial, body)
            first.setdefault(serial, body)
        assert serials.takes(serials.next, "new")


def test_serials_far_from_the_others_are_not_taken() -> None:
    """Below, they may have been used before; above, they would use up what there is."""
    serials = Serials()
    for serial in range(10_000, 30_000):
        serials.took(serial, "x")
    assert len(serials._bodies) <= 2 * WINDOW
    assert not serials.takes(29_999 - WINDOW, "y")
    assert not serials.takes(29_999 + LEAP + 1, "y")
    assert serials.takes(29_999 + LEAP, "y")


def test_the_gap_that_a_restored_home_leaves_is_no_leap() -> None:
    """However often it is restored before somebody signs: else nobody was ever let in again."""
    serials = Serials()
    serials.took(53, "x")
    assert serials.takes(54 + 5 * GAP, "y")


@given(st.lists(st.floats(0, 5), max_size=60), st.floats(1, 50))
def test_no_more_goes_through_than_the_rate_lets(pauses: list[float], rate: float) -> None:
    """A reserve at once, and then so much a second."""
    pace, now, took = Pace(rate, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        took += pace.take(now)
        assert took <= max(1.0, rate * RESERVE) + rate * now + 1e-6


# The book


def test_lines_are_chained_over_files_and_starts(tmp_path: Path) -> None:
    """Each names the one before; a new file begins where one has grown long."""
    book = Book(tmp_path, long=400)
    assert book.open() == []
    for number in range(6):
        book.write([{"what": f"{number}"}, {"what": f"{number}b"}])
    book.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) > 1
    lines = [line for file in files for line in file.read_text().splitlines()]
    before = NOTHING
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)
        assert (entry["n"], entry["before"]) == (number, before)
        before = hashlib.sha256(line.encode()).hexdigest()
    again = Book(tmp_path, long=400)
    assert [entry["what"] for entry in again.open()][-1] == "5b"
    with pytest.raises(Conflict, match="Another signer"):
        Book(tmp_path).open()
    again.write([{"what": "more"}])
    (last,) = again.after(12, 10_000)
    assert (again.number, json.loads(last)["before"]) == (13, before)
    assert len(again.after(0, 10_000)) == 13
    assert again.after(3, 150) == lines[3:4]
    again.close()


def test_any_line_of_a_long_book_is_found_at_once(tmp_path: Path) -> None:
    """As many as asked for, behind any of them, to the last."""
    book = Book(tmp_path)
    book.open()
    book.write([{"what": "x" * (number % 7 * 100)} for number in range(1500)])
    book.write([{"what": "y" * 20_000}, {"what": "the last"}])
    for after in (0, 1, 2, 700, 1234, 1499, 1500, 1501):
        (first, *_) = book.after(after, 40_000)
        assert json.loads(first)["n"] == after + 1
    assert book.after(1502, 40_000) == []
    book.close()


def test_a_line_that_was_cut_off_is_taken_back(tmp_path: Path) -> None:
    """Its signature never left."""
    book = Book(tmp_path)
    book.open()
    book.write([{"what": "one"}])
    book.close()
    (file,) = tmp_path.iterdir()
    with file.open("ab") as opened:
        opened.write(b'{"n":2,"what":"tw')
    again = Book(tmp_path)
    assert len(again.open()) == 1
    again.write([{"what": "two"}])
    again.close()
    assert [json.loads(line)["what"] for line in file.read_text().splitlines()] == ["one", "two"]


def test_a_changed_book_is_not_gone_on_with(tmp_path: Path) -> None:
    """Nobody signs beside a book that somebody has written anew."""
    book = Book(tmp_path)
    book.open()
    book.write([{"what": "one"}, {"what": "two"}, {"what": "three"}])
    book.close()
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    for broken in (before.replace(b"one", b"own"), b"".join(before.splitlines(True)[::2]), b"x\n"):
        file.write_bytes(broken)
        with pytest.raises(Misconfigured, match="is not what was written there"):
            Book(tmp_path).open()


def test_what_can_not_be_written_does_not_stand_there(tmp_path: Path) -> None:
    """A full disk: nothing is signed, and what was half written is taken back."""
    book = Book(tmp_path)
    book.open()
    book.write([{"what": "one"}])
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    readable = os.open(file, os.O_RDONLY)
    kept, book._file = book._file, readable
    with pytest.raises(Unavailable, match="can't be written down"):
        book.write([{"what": "two"}])
    assert (book.number, file.read_bytes()) == (1, whole)
    book._file = kept
    book.close()


# The service


@pytest.fixture
def signer() -> Iterator[Running]:
    """One that runs."""
    with tempfile.TemporaryDirectory(prefix="sg-") as place:
        at = Path(place)
        with Running.made(at / "signer", limits(at), lambda: NOW) as running:
            yield running


def socket_of(signer: Running) -> Path:
    """Where it answers."""
    return signer.place.directory.parent / "socket"


@contextmanager
def asking(signer: Running, timeout: float = 5.0) -> Iterator[SignerClient]:
    """A client of it."""
    client = SignerClient(socket_of(signer), timeout)
    try:
        yield client
    finally:
        client.close()


def signed(client: SignerClient, signer: Running, **more: object) -> str:
    """The SHA-256 of a target's certificate."""
    remote = client.signer(Which.TARGET_CA, signer.public(Which.TARGET_CA))
    return issue(remote, order(**more)).sha256


def test_a_signature_stands_in_the_book_before_it_leaves(signer: Running) -> None:
    """With the hash of the whole certificate, which the ledger has too; the same goes for seals."""
    with asking(signer) as client:
        sha256 = signed(client, signer)
        sign(client.signer(Which.SEAL, signer.public(Which.SEAL)), "audit@bastion", b"x")
        one, two = signer.lines()
        assert (one["ca"], one["serial"], one["what"]) == ("target_ca", 53, "C-31 alice G-7")
        assert (one["sha256"], one["principals"]) == (sha256, ["deploy", "deploy@web-1"])
        assert one["pid"] == os.getpid()
        assert two["what"] == f"audit@bastion {hashlib.sha512(b'x').hexdigest()}"
        assert client.lines(1) == ([client.lines(0)[0][1]], 2)
        assert set(client.keys()) == set(load_cas(signer.place.keys))


def test_a_serial_is_not_signed_twice_even_after_a_restart(signer: Running) -> None:
    """The client goes on by itself over a new connection, and hears which serial would do."""
    with asking(signer) as client:
        signed(client, signer)
        signer.stop()
        signer.start()
        with pytest.raises(SerialTaken) as taken:
            signed(client, signer, key_id="C-32 alice G-7")
        assert taken.value.next == 54
        assert signed(client, signer, serial=54)
        assert [line["serial"] for line in signer.lines()] == [53, 54]


def test_more_than_the_rate_is_refused_and_later_it_goes_on(signer: Running) -> None:
    """Each CA has its own."""
    signer.place.limits.write_text(limits(signer.place.directory.parent, rate=2))
    with asking(signer) as client:
        for serial in range(1, 11):
            signed(client, signer, serial=serial)
        with pytest.raises(Unavailable, match="more than 2 a second by target_ca"):
            signed(client, signer, serial=11)
        sign(client.signer(Which.SEAL, signer.public(Which.SEAL)), "audit@bastion", b"x")
        signer.clock += 1
        assert signed(client, signer, serial=11)


def test_only_its_accounts_are_answered(signer: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Others hear nothing, and a line is logged."""
    signer.place.limits.write_text(limits(signer.place.directory.parent, uid=os.geteuid() + 1))
    with asking(signer) as client, pytest.raises(Unavailable, match="does not answer"):
        client.keys()
    assert client.silent > 0
    assert f"the account {os.geteuid()} " in caplog.text


HOSTILE = {
    "no frame": b"GET / HTTP/1.1\r\n\r\n",
    "a frame of 4 GiB": b"\xff\xff\xff\xff",
    "an empty frame": bytes(4),
    "no JSON": b"\0\0\0\x02{]",
    "another key": struct.pack(">I", 23) + b'{"ask":"keys","x":true}',
    "a deep one": struct.pack(">I", 60_000) + b"[" * 60_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_close_the_connection_with_one_line(
    signer: Running, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is answered, and the others are."""
    with socket.socket(socket.AF_UNIX) as hostile:
        hostile.settimeout(10)
        hostile.connect(str(socket_of(signer)))
        hostile.sendall(HOSTILE[name])
        with suppress(ConnectionError):
            assert hostile.recv(1) == b""
    with asking(signer) as client:
        assert client.keys()
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "is closed" in lines[0].getMessage()


def test_a_signer_that_says_nothing_is_waited_for_until_the_deadline() -> None:
    """And no longer, whoever listens there."""
    with tempfile.TemporaryDirectory(prefix="sg-") as place:
        path = Path(place) / "socket"
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(path))
            silent.listen()
            client = SignerClient(path, 0.2)
            with pytest.raises(Unavailable, match="does not answer"):
                client.keys()
            silent.close()
            with pytest.raises(Unavailable, match="does not answer"):  # at once, without asking
                client.sign(Which.SEAL, CA.public, b"x")
            client.close()


def test_a_socket_where_others_may_write_is_not_used(signer: Running) -> None:
    """Somebody could put another one in its place; nor is one that is in use taken away."""
    with pytest.raises(Unavailable, match="listens on"), service.listening(socket_of(signer)):
        pass
    signer.place.directory.parent.chmod(0o777)
    with pytest.raises(Misconfigured, match="chmod go-w"), service.listening(socket_of(signer)):
        pass
    signer.place.directory.parent.chmod(0o700)


def test_frames_are_bounded() -> None:
    """A body that is too long is no request."""
    with pytest.raises(ValueError, match="too_long"):
        frames.Sign(ca=Which.SEAL, key="SHA256:x", body=bytes(frames.LONGEST_BODY + 1))
