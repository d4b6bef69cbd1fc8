"""Revocation lists: OpenSSH reads ours as they were meant, and we read those that it writes."""

import subprocess
from dataclasses import replace
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.authority.certificates import issue
from bastion.authority.signer import FileSigner
from bastion.krl import LARGEST, Krl, Ranges, decode, encode, ranges_of
from tests.bastion.test_certificates import order
from tests.bastion.test_public_keys import line_of

CAS = [FileSigner(asyncssh.generate_private_key("ssh-ed25519")) for _ in range(2)]
ONE, OTHER = (ca.public.blob for ca in CAS)


def revoked(krl: Path, file: Path) -> bool:
    """What `ssh-keygen -Q` says of the key or certificate in a file."""
    done = subprocess.run(
        ["ssh-keygen", "-Q", "-f", krl, file], capture_output=True, text=True, check=False
    )
    assert done.stdout.rstrip().endswith(("REVOKED", "ok")), done.stderr
    return done.returncode == 1


def certificate(directory: Path, ca: FileSigner, serial: int) -> Path:
    """A certificate in a file."""
    file = directory / f"{serial}-cert.pub"
    file.write_text(f"{issue(ca, order(serial=serial)).line}\n")
    return file


def written(directory: Path, krl: Krl) -> Path:
    """The list in a file."""
    file = directory / "krl"
    file.write_bytes(encode(krl))
    return file


@pytest.mark.parametrize(
    ("ranges", "inside", "outside"),
    [
        (ranges_of([5]), [5], [4, 6, 0]),
        (ranges_of([1, 3, 9]), [1, 3, 9], [2, 8, 10, 0]),
        (ranges_of(range(100, 200)), [100, 150, 199], [99, 200]),
        (ranges_of([*range(100, 200), 7, 300]), [7, 100, 199, 300], [8, 200, 299]),
        (((LARGEST - 1, LARGEST),), [LARGEST], [LARGEST - 2]),
        (((1, LARGEST),), [1, LARGEST], [0]),
    ],
)
def test_openssh_revokes_what_is_named(
    tmp_path: Path, ranges: Ranges, inside: list[int], outside: list[int]
) -> None:
    """By serial, of this CA and of no other; those beside them are good."""
    krl = Krl(3, 1_700_000_000, "ours", {ONE: ranges})
    file = written(tmp_path, krl)
    for serial in inside + outside:
        wanted = serial in inside
        assert revoked(file, certificate(tmp_path, CAS[0], serial)) is wanted, serial
        assert krl.revokes(ONE, serial) is wanted
        assert not revoked(file, certificate(tmp_path, CAS[1], serial))


def test_a_ca_that_is_named_is_revoked_with_all_that_it_signed(tmp_path: Path) -> None:
    """Whatever the serial is, 0 too; and the key itself."""
    krl = Krl(keys=frozenset({ONE}))
    file = written(tmp_path, krl)
    key = tmp_path / "ca.pub"
    key.write_text(f"{line_of(CAS[0]._key)}\n")
    assert revoked(file, key)
    for serial in (0, 1, 77):
        assert revoked(file, certificate(tmp_path, CAS[0], serial))
        assert krl.revokes(ONE, serial)
        assert not revoked(file, certificate(tmp_path, CAS[1], serial))


def test_an_empty_list_revokes_nothing(tmp_path: Path) -> None:
    """It is a list all the same: a file of no bytes is none."""
    file = written(tmp_path, Krl())
    assert not revoked(file, certificate(tmp_path, CAS[0], 1))
    assert decode(encode(Krl())) == Krl()
    assert encode(Krl(serials={ONE: ()})) == encode(Krl())


SPECS = ["serial: 5", "serial: 7-300\nserial: 400\nserial: 402\nserial: 404", "serial: 1-9999999"]


@pytest.mark.parametrize("spec", SPECS)
def test_we_read_what_ssh_keygen_writes(tmp_path: Path, spec: str) -> None:
    """Lists, ranges, bitmaps, and whole keys."""
    ca, listed, krl = tmp_path / "ca.pub", tmp_path / "spec", tmp_path / "krl"
    ca.write_text(f"{line_of(CAS[0]._key)}\n")
    listed.write_text(f"{spec}\nkey: {line_of(CAS[1]._key)}\nsha256: {line_of(CAS[1]._key)}\n")
    subprocess.run(
        ["ssh-keygen", "-q", "-k", "-f", krl, "-s", ca, "-z", "9", listed],
        check=True,
        capture_output=True,
    )
    read = decode(krl.read_bytes())
    ends = [line.removeprefix("serial: ").split("-") for line in spec.split("\n")]
    assert read.serials == {ONE: tuple((int(each[0]), int(each[-1])) for each in ends)}
    assert (read.version, read.keys) == (9, frozenset({OTHER}))
    assert len(read.fingerprints) == 1
    assert decode(encode(read)) == read


some_serials = st.lists(st.integers(1, 200) | st.integers(1, LARGEST), max_size=60)
some_keys = st.frozensets(st.binary(max_size=40), max_size=4)


@given(
    version=st.integers(0, LARGEST),
    comment=st.text(max_size=20),
    serials=st.dictionaries(st.binary(max_size=40), some_serials, max_size=4),
    keys=some_keys,
    fingerprints=st.frozensets(st.binary(min_size=32, max_size=32), max_size=3),
)
def test_what_is_written_is_what_is_read(
    *,
    version: int,
    comment: str,
    serials: dict[bytes, list[int]],
    keys: frozenset[bytes],
    fingerprints: frozenset[bytes],
) -> None:
    """Each serial that was named is revoked and no other; the bytes are always the same."""
    ranges = {ca: ranges_of(numbers) for ca, numbers in serials.items() if numbers}
    krl = Krl(version, 1, comment, ranges, keys, fingerprints)
    assert decode(encode(krl)) == krl
    backwards = dict(reversed(ranges.items()))
    assert encode(replace(krl, serials=backwards)) == encode(krl)
    for ca, numbers in serials.items():
        for number in {*numbers, *(n + 1 for n in numbers), *(n - 1 for n in numbers)}:
            assert krl.revokes(ca, number) is (number in numbers or ca in keys)


WHOLE = Krl(serials={ONE: ranges_of([1, 5, *range(9, 90)])}, keys=frozenset({OTHER}))


@given(data=st.binary(max_size=300))
def test_what_is_no_list_is_a_value_error(data: bytes) -> None:
    """Never one, or with something behind it that is no section."""
    with pytest.raises(ValueError, match=r".*"):
        decode(data)
    try:
        decode(encode(WHOLE) + data)
    except ValueError:
        return
    assert data[:1] in (b"", b"\1", b"\2", b"\4", b"\5")


@given(cut=st.integers(0, len(encode(WHOLE)) - 1))
def test_a_list_that_was_cut_short_is_not_taken_for_the_whole(cut: int) -> None:
    """Between two sections it is a list, for OpenSSH too, and one that refuses less: so whoever
    wants a list has to compare what it says."""
    try:
        assert decode(encode(WHOLE)[:cut]) != WHOLE
    except ValueError:
        return
    assert cut in (len(encode(Krl())), len(encode(replace(WHOLE, keys=frozenset()))))


@pytest.mark.parametrize("ranges", [((0, 1),), ((5, 4),), ((1, LARGEST + 1),)])
def test_serials_that_can_not_be_revoked(ranges: Ranges) -> None:
    """OpenSSH takes serial 0 for none, and refuses the whole list for a range of it."""
    with pytest.raises(ValueError, match="serials go from 1"):
        Krl(serials={ONE: ranges})


def test_a_dense_list_is_short() -> None:
    """A hundred thousand in a row take no more room than two."""
    dense = encode(Krl(serials={ONE: ranges_of(range(1, 100_001))}))
    assert len(dense) < 200
