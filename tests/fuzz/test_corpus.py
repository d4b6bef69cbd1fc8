"""The fuzzer in short: all that is kept, and a few hundred inputs out of it, the same each time."""

import random

import pytest

from tests.fuzz.__main__ import CORPUS, seeds
from tests.fuzz.mutations import mutated
from tests.fuzz.readers import READERS

INPUTS = 300


@pytest.mark.parametrize("name", READERS)
def test_readers_keep_their_promises(name: str) -> None:
    """Whatever comes, they refuse it or take it for what it is."""
    known, dice = seeds(name), random.Random(name)
    for data in (*known, *(mutated(known, dice) for _ in range(INPUTS))):
        READERS[name](data)


def test_every_corpus_has_its_reader() -> None:
    """And every reader has more than nothing to begin with."""
    assert {place.name for place in CORPUS.iterdir()} == set(READERS)
    assert all(len(seeds(name)) > 2 for name in READERS)
