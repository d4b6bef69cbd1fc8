"""SSH's data types: numbers, strings, and one after another (RFC 4251 section 5).

What is read is bounded by what is there: a length that promises more is an error.
"""

from collections.abc import Iterator


def string(data: bytes) -> bytes:
    """`data` with its length before it."""
    return len(data).to_bytes(4) + data


def uint32(number: int) -> bytes:
    """A number of four bytes. Raises OverflowError."""
    return number.to_bytes(4)


def uint64(number: int) -> bytes:
    """A number of eight bytes. Raises OverflowError."""
    return number.to_bytes(8)


class Reader:
    """Takes numbers and strings off the front. Each raises ValueError where the data are short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at(self) -> int:
        """How many bytes were taken."""
        return self._at

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def number(self, size: int) -> int:
        """A number of `size` bytes."""
        return int.from_bytes(self.take(size))

    def string(self) -> bytes:
        """A string."""
        return self.take(self.number(4))

    def strings(self) -> Iterator[bytes]:
        """All that is left, as strings."""
        while not self.done:
            yield self.string()

    def take(self, size: int) -> bytes:
        """`size` bytes."""
        end = self._at + size
        if end > len(self._data):
            raise ValueError("a field is cut short")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def end(self) -> None:
        """Raises ValueError where something is left."""
        if not self.done:
            raise ValueError("there is more than there should be")
