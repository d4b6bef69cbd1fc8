"""Counting things."""

from recorder.nouns import counted


def test_one_is_one_and_the_rest_are_several() -> None:
    """None are several, too; what gets more than an s says so."""
    assert [counted(n, "event") for n in (0, 1, 2)] == ["0 events", "1 event", "2 events"]
    assert counted(1, "request waits", "requests wait") == "1 request waits"
    assert counted(3, "request waits", "requests wait") == "3 requests wait"
