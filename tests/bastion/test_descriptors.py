"""Descriptors: whether there are enough is said in a sentence."""

import resource

import pytest

from bastion.descriptors import shortage


@pytest.mark.parametrize("most", [524_288, 16_200, resource.RLIM_INFINITY])
def test_enough_is_not_spoken_of(most: int) -> None:
    """Four for each connection, some beside them; or no limit at all."""
    assert shortage(most, 4000) is None


def test_too_few_are_told() -> None:
    """How many there are, what that is good for, and the mend."""
    said = shortage(1024, 4000)
    assert said is not None
    assert "1024 files" in said
    assert "about 206 sessions" in said
    assert "LimitNOFILE" in said
    assert "about 0 sessions" in str(shortage(100, 1))
