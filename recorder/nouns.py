"""Nouns that are counted: `1 session`, `2 sessions`. Pure."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """So many of it. `several` is for what gets more than an `s`: `entries`, `requests wait`."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"
