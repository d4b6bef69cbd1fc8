"""Slots for what asyncssh's constructors set: a hundred attributes in each connection, thousands of
which may stand idle. In a dictionary of its own they take 3.3 KB, in slots 0.9.
"""

import dis


def slots(kind: type, *others: type) -> tuple[str, ...]:
    """The attributes that the constructor of `kind` sets, and for which neither it nor one of
    `others` has a default, or a slot already.

    What is set somewhere else goes on standing in the instance's dictionary.
    """
    steps = dis.get_instructions(vars(kind)["__init__"])
    stored = {str(step.argval) for step in steps if step.opname == "STORE_ATTR"}
    return tuple(sorted(name for name in stored if not _known(name, (kind, *others))))


def _known(name: str, kinds: tuple[type, ...]) -> bool:
    return any(hasattr(kind, name) for kind in kinds)
