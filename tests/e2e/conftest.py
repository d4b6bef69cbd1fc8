"""The real thing for end-to-end tests: sshd, contractors, and the bastion between them.

One sshd and one bastion serve all tests of a session. `alice` has a shell on `prod-host` for a
day and may be used by every test that leaves her as she was; whoever needs a grant of another kind
makes a contractor of his own by `newly_enrolled`.
"""

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.bastion import Bastion, environment
from tests.e2e.client import Client, Newcomer, make_key
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

SILENT = "silent-host"


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """One target for all tests; whoever uses it tells it which CA to trust."""
    target = Sshd()
    yield target
    target.stop()


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A contractor who has a key, and nothing else yet."""
    return Client(tmp_path / "contractor")


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    """A contractor with an OS account of his own."""
    if os.geteuid() != 0:
        pytest.skip("adding an account needs root")
    person = Newcomer(f"newcomer-{os.getpid()}")
    yield person
    person.remove()


@pytest.fixture(scope="session")
def silent_port() -> Iterator[int]:
    """A port where somebody listens who never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """What runs the commands of every bastion."""
    made = Warm(environment())
    yield made
    made.stop()


def _let_in(top: Path) -> None:
    """Whoever knows the name may go there, through all that the tests have made above it."""
    made = top.relative_to(Path(tempfile.gettempdir()).resolve())
    for part in (top, *list(top.parents)[: len(made.parts) - 1]):
        part.chmod(part.stat().st_mode | 0o055)


@pytest.fixture
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A directory with `out`, `in` and `secret`, where the target's account may do anything.

    No link is left in its path.
    """
    top = tmp_path_factory.mktemp("place").resolve()
    _let_in(top)
    for name in ("out", "in", "secret"):
        (top / name).mkdir()
        (top / name).chmod(0o777)
    yield top
    await asyncio.to_thread(shutil.rmtree, top)


@pytest.fixture(scope="session")
def bastion(
    tmp_path_factory: pytest.TempPathFactory, sshd: Sshd, silent_port: int, warm: Warm
) -> Iterator[Bastion]:
    """The bastion of the session: it serves, and knows the target under several names."""
    made = Bastion(tmp_path_factory.mktemp("bastion") / "home", warm)
    made.set("limits", "connect_timeout", "2s")
    sshd.trust(made.admin_now("ca", "show", "target").out)
    pinned = ("--host-key", str(sshd.host_key_file), "--shell-type", "bash")
    made.admin_now("host", "add", HOST, "--address", sshd.address, *pinned, "--alias", "prod-alias")
    made.admin_now("host", "add", "other-host", "--address", sshd.address, *pinned)
    made.admin_now("host", "add", "dead-host", "--address", "127.0.0.1:1", *pinned)
    made.admin_now("host", "add", SILENT, "--address", f"127.0.0.1:{silent_port}", *pinned)
    strange = made.home.with_name("strange")
    make_key(strange)
    changed = ("--host-key", f"{strange}.pub")
    made.admin_now("host", "add", "changed-host", "--address", sshd.address, *changed)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def silent_host(bastion: Bastion) -> str:
    """The name of a target that never answers."""
    return SILENT


@pytest.fixture
def sshd_port(sshd: Sshd) -> int:
    """Where the target really listens."""
    return sshd.port


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
    return port


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short name, as the path of a control socket must be."""
    with tempfile.TemporaryDirectory(prefix="cm-") as folder:
        yield Path(folder)


@pytest.fixture
def bob(tmp_path: Path, own: Bastion, sshd: Sshd) -> Contractor:
    """Somebody with a shell behind a bastion of the module's own (tests/e2e/own.py)."""
    person = Contractor.enrolled(tmp_path / "bob", "bob", own, sshd.login)
    person.granted_now()
    person.certified_now()
    return person


@pytest.fixture(scope="session")
def newly_enrolled(
    tmp_path_factory: pytest.TempPathFactory, bastion: Bastion, sshd: Sshd
) -> Callable[[], Contractor]:
    """Makes contractors who are enrolled, and have neither grant nor certificate."""
    numbers = count(1)

    def enrol() -> Contractor:
        name = f"user{next(numbers)}"
        home = tmp_path_factory.mktemp(name) / name
        return Contractor.enrolled(home, name, bastion, sshd.login)

    return enrol


@pytest.fixture(scope="session")
def alice(newly_enrolled: Callable[[], Contractor]) -> Contractor:
    """Somebody with a shell on the targets, and a certificate."""
    person = newly_enrolled()
    for host in (HOST, "dead-host", SILENT, "changed-host"):
        person.granted_now("--shell", "--login", "ghost", host=host, lasting="1d")
    person.certified_now()
    return person
