"""Contexts of AES-GCM: few of them are kept, and nobody notices."""

import gc
import os

import pytest
from asyncssh.crypto.cipher import GCMCipher
from asyncssh.encryption import GCMEncryption
from asyncssh.misc import MACError
from hypothesis import given
from hypothesis import strategies as st

from bastion.wire.gcm import Contexts, Gcm

HEADER = b"\0\0\0\x10"


def direction(contexts: Contexts, key: bytes = b"k" * 16) -> Gcm:
    return Gcm(GCMCipher("aes128-gcm", key, b"n" * 12), contexts)


def opened(opener: Gcm, sealed: bytes) -> bytes:
    packet = opener.peek(memoryview(HEADER), memoryview(sealed))
    opener.take()
    return packet


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 4))
def test_each_goes_on_where_it_was(who: list[int], most: int) -> None:
    """Whoever sends next, and however few contexts there are, all is what one would have sent whose
    context was kept; the other side reads it."""
    few, many = Contexts(most), Contexts()
    keys = [bytes([number]) * 16 for number in range(3)]
    resting = [direction(few, key) for key in keys]
    openers = [direction(few, key) for key in keys]
    kept = [direction(many, key) for key in keys]
    for number in who:
        sealed = resting[number].seal(HEADER, b"a packet")
        assert sealed == kept[number].seal(HEADER, b"a packet")
        assert opened(openers[number], sealed) == b"a packet"


def test_as_many_are_kept_as_may_be() -> None:
    """The last ones that needed theirs have them."""
    contexts = Contexts(2)
    all_of_them = [direction(contexts) for _ in range(5)]
    for each in all_of_them:
        each.seal(HEADER, b"")
    assert [each.ready for each in all_of_them] == [False, False, False, True, True]


def test_one_that_has_gone_is_not_kept() -> None:
    """Neither its context nor its key."""
    contexts = Contexts(2)
    gone = direction(contexts, os.urandom(16))
    gone.seal(HEADER, b"")
    key = gone._key
    del gone
    gc.collect()
    assert not [
        each for each in gc.get_referrers(key) if isinstance(each, GCMEncryption | Contexts)
    ]
    stays = [direction(contexts) for _ in range(2)]
    for each in stays:
        each.seal(HEADER, b"")
    assert all(each.ready for each in stays)


def test_a_wrong_tag_is_wrong_after_a_rest() -> None:
    """And the right packet is still awaited."""
    contexts = Contexts(1)
    sealer, opener = direction(contexts), direction(contexts)
    sealed = sealer.seal(HEADER, b"a packet")
    wrong = bytes([sealed[0] ^ 1]) + sealed[1:]
    with pytest.raises(MACError):
        opened(opener, wrong)
    direction(contexts).seal(HEADER, b"")  # takes the only place
    assert opened(opener, sealed) == b"a packet"
