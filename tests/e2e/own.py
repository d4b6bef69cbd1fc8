"""A bastion of a test's own, which it may end as it likes: `bob` of the fixtures has a shell there.

A module that wants one has a fixture `own` that makes a home, sets what it wants, and serves it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST
from tests.e2e.sshd import Sshd
from tests.e2e.watching import PATIENCE


@contextmanager
def serving(
    made: Bastion, sshd: Sshd, workers: int = 1, patience: float = PATIENCE
) -> Iterator[Bastion]:
    """A new home is served, and knows `sshd` as HOST, which trusts it; in the end it is stopped.

    `patience` is how many seconds that may take.
    """
    introduced(made, sshd)
    made.start(workers=workers)
    yield made
    made.stop(patience=patience)


def introduced(made: Bastion, sshd: Sshd) -> None:
    """A home knows `sshd` as HOST, and is trusted there. Blocks."""
    sshd.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
    made.admin_now("host", "add", HOST, *pinned)
