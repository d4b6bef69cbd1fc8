"""Inputs out of inputs: cut, joined, doubled, with other bytes and with numbers at their edges."""

import random
from collections.abc import Callable, Sequence

LONGEST = 4096

_EDGES = [
    n.to_bytes(size, "big") for size in (1, 2, 4, 8) for n in (0, 1, 2**7, 2 ** (8 * size) - 1)
]
_SIGNS = [
    sign.encode() for sign in ("'", '"', "{", "}", "..", "/", "*", "\\", "\n", "$(", "~", "é")
]
_LINES = [b"-", b"-1e308", b"1e308", b'[9,"ob","="]\n', b'[9,"r","-9x"]\n', b'"o"', b"\\ud800"]
_RULES = [b"{re:", b"{path:/", b"read:", b"write,1M:/", b"-----"]
_WORDS = [*_EDGES, *_SIGNS, *_LINES, *_RULES, b"\xff", b"\0", b"\x1f"]


def mutated(seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """One of `seeds`, changed a few times."""
    data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 2, 4, 8))):
        data = dice.choice(_WAYS)(data, seeds, dice)[:LONGEST]
    return data


Change = Callable[[bytes, Sequence[bytes], random.Random], bytes]


def _place(data: bytes, dice: random.Random) -> int:
    return dice.randint(0, len(data))


def _flipped(data: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def _with_word(data: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at = _place(data, dice)
    return data[:at] + dice.choice(_WORDS) + data[at:]


def _over(data: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at, word = _place(data, dice), dice.choice(_WORDS)
    return data[:at] + word + data[at + len(word) :]


def _without(data: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    first, last = sorted((_place(data, dice), _place(data, dice)))
    return data[:first] + data[last:]


def _doubled(data: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    first, last = sorted((_place(data, dice), _place(data, dice)))
    return data[:last] + data[first:last] * dice.randint(1, 8) + data[last:]


def _joined(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    other = dice.choice(seeds)
    return data[: _place(data, dice)] + other[_place(other, dice) :]


_WAYS: tuple[Change, ...] = (_flipped, _with_word, _over, _without, _doubled, _joined)
