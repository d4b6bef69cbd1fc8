"""The home: whole, or not there; made once; served once at a time."""

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from bastion import home as home_room
from bastion import workplace
from bastion.addresses import Endpoint
from bastion.authority import Authority, key_problems
from bastion.config import Settings
from bastion.errors import BadInput, Conflict, Misconfigured, Unavailable
from bastion.home import Home, Made, create
from bastion.store import Store
from tests.bastion.worlds import NOW

LISTEN = Endpoint("127.0.0.1", 2222)


def make(directory: Path, *names: str, listen: Endpoint = LISTEN, machine: str = "box") -> Made:
    """A home, as `init` makes it."""
    return create(directory, listen, names, machine, NOW)


def everything_in(directory: Path) -> dict[str, bytes]:
    """Each file with its content."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_a_home_has_all_its_parts(tmp_path: Path) -> None:
    """Settings that can be read, keys in order, a database that is up to date; for its owner."""
    made = make(tmp_path / "deep" / "home")
    home = Home.at(tmp_path / "deep" / "home")
    assert made.home == home
    settings = Settings.read(home)
    assert settings.listen.address == LISTEN
    assert settings.recording.auditors == (made.recipient,)
    assert key_problems(home.keys) == []
    Authority.load(home.keys)
    store = Store.open(settings.database_url(home))
    assert store.latest_time() == NOW
    store.close()
    assert settings.recordings(home).is_dir()
    assert made.recipient in home.auditor.read_text()
    assert home.policy.exists()
    assert [path.name for path in home.directory.parent.iterdir()] == ["home"]
    for path in [home.directory, *home.directory.rglob("*")]:
        if path.suffix != ".pub":
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_settings_are_the_defaults(tmp_path: Path) -> None:
    """What is written in comments is what holds, and each setting in them exists."""
    home = make(tmp_path / "home").home
    text = home.settings.read_text()
    shown = "".join(
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in text.splitlines(keepends=True)
    )
    assert Settings.parse(shown, home.settings) == Settings.read(home)


@pytest.mark.parametrize(
    ("names", "listen", "machine", "certified"),
    [
        ((), LISTEN, "box", ("bastion", "127.0.0.1", "box")),
        (("Jump", "jump"), LISTEN, "box", ("jump", "127.0.0.1", "box")),
        ((), Endpoint("0.0.0.0", 22), "a_b!", ("bastion",)),
        ((), Endpoint("::", 22), "bastion", ("bastion",)),
        (("10.0.0.1",), Endpoint("jump.example", 22), "", ("10.0.0.1", "jump.example")),
    ],
)
def test_what_the_host_certificate_names(
    tmp_path: Path,
    names: tuple[str, ...],
    listen: Endpoint,
    machine: str,
    certified: tuple[str, ...],
) -> None:
    """Each name that was given, else `bastion`; where it listens; the machine, if it can be one."""
    made = make(tmp_path / "home", *names, listen=listen, machine=machine)
    assert made.names == certified
    shown = subprocess.run(
        ["ssh-keygen", "-Lf", made.home.keys / "host-cert.pub"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = shown.partition("Principals:")[2].partition("Critical")[0].split()
    assert tuple(listed) == certified
    assert Settings.read(made.home).listen.names == certified


def test_a_wrong_name_makes_nothing(tmp_path: Path) -> None:
    """Not even the directories on the way."""
    with pytest.raises(BadInput, match="'a b' can't be a host name"):
        make(tmp_path / "x" / "home", "a b")
    assert list(tmp_path.iterdir()) == []


def test_a_second_init_loses_nothing(tmp_path: Path) -> None:
    """It refuses, and every byte is as it was."""
    make(tmp_path / "home")
    before = everything_in(tmp_path)
    with pytest.raises(Conflict, match=r"There is a home in .* already: it is left as it is"):
        make(tmp_path / "home", "other")
    assert everything_in(tmp_path) == before


def test_an_empty_directory_may_be_there(tmp_path: Path) -> None:
    """As `install -d` or a package leaves it; it is closed to others then."""
    (tmp_path / "home").mkdir(0o755)
    home = make(tmp_path / "home").home
    assert stat.S_IMODE(home.directory.stat().st_mode) == 0o700


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    """Nor is a file taken for a directory."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "x").touch()
    with pytest.raises(Conflict, match="is not empty: name another with --home"):
        make(tmp_path / "home")
    assert [path.name for path in tmp_path.rglob("*")] == ["home", "x"]
    with pytest.raises((Conflict, Unavailable), match=r"is not a directory|Not a directory"):
        make(tmp_path / "home" / "x")


def test_a_link_to_a_directory_stays_a_link(tmp_path: Path) -> None:
    """/var/lib/bastion may point to a larger disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to("disk")
    home = make(tmp_path / "home").home
    assert (tmp_path / "home").is_symlink()
    assert Home.at(tmp_path / "home").settings.samefile(home.settings)


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that can't be replaced, as a container's volume."""
    directory = tmp_path / "volume"
    directory.mkdir()
    monkeypatch.setattr(workplace, "_must_stay", lambda path: path == directory)
    return directory


def test_a_home_in_a_volume(volume: Path) -> None:
    """It is made within, and is as good as any other."""
    inode = volume.stat().st_ino
    home = make(volume).home
    assert volume.stat().st_ino == inode
    assert stat.S_IMODE(volume.stat().st_mode) == 0o700
    assert Settings.read(home).listen.address == LISTEN
    assert key_problems(home.keys) == []
    assert sorted(path.name for path in volume.iterdir()) == [
        "bastion.db",
        "bastion.toml",
        "keys",
        "policy.toml",
        "recordings",
    ]


BROKEN_STEPS = [
    *((home_room, name) for name in ("make_keys", "certify_host", "write_private")),
    (workplace, "sync"),
]


def broken(*_: object, **__: object) -> None:
    """The disk is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", BROKEN_STEPS)
def test_a_home_that_can_not_be_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[ModuleType, str]
) -> None:
    """Whichever step fails, nothing is left behind, and the reason is a sentence."""
    monkeypatch.setattr(*step, broken)
    with pytest.raises(Unavailable, match="can't be made: No space left on device"):
        make(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", BROKEN_STEPS)
def test_a_volume_is_left_empty_when_it_fails(
    volume: Path, monkeypatch: pytest.MonkeyPatch, step: tuple[ModuleType, str]
) -> None:
    """Also where the parts had been moved to their places already."""
    monkeypatch.setattr(*step, broken)
    with pytest.raises(Unavailable, match="No space left on device"):
        make(volume)
    assert list(volume.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C in the middle."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(home_room, "certify_host", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_two_inits_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second to finish finds the first one's home, and leaves it."""
    fill: Callable[..., str] = home_room._fill

    def slower(home: Home, *rest: object) -> str:
        filled = fill(home, *rest)
        monkeypatch.setattr(home_room, "_fill", fill)
        make(tmp_path / "home", "first")
        return filled

    monkeypatch.setattr(home_room, "_fill", slower)
    with pytest.raises(Conflict, match=r"Somebody else made .* at the same time"):
        make(tmp_path / "home", "second")
    assert Settings.read(Home(tmp_path / "home")).listen.names[0] == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_no_home_is_a_sentence(tmp_path: Path) -> None:
    """With the way to one."""
    with pytest.raises(Misconfigured, match="make one with bastion-admin init"):
        Home.at(tmp_path)


# Serving


def test_one_process_serves_a_home(tmp_path: Path) -> None:
    """The second hears who does; when that one is gone, however it went, the home is free."""
    home = make(tmp_path / "home").home
    program = (
        "import sys, pathlib; from bastion.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).lock(): print('locked', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, home.directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        assert home.served_by() == other.pid
        with (
            pytest.raises(Conflict, match=rf"is served already, by the process {other.pid}"),
            home.lock(),
        ):
            pass
        other.kill()
    assert home.served_by() is None
    with home.lock():
        assert home.served_by() == os.getpid()
    assert home.served_by() is None


def test_a_home_that_is_gone_can_not_be_locked(tmp_path: Path) -> None:
    """Nor made by locking it."""
    home = make(tmp_path / "home").home
    shutil.rmtree(home.directory)
    with pytest.raises(Unavailable, match="can't be opened"), home.lock():
        pass
    assert not home.directory.exists()
