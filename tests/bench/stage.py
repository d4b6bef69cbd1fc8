"""The stage: one contractor, one target, and two ways between them, all of it on loopback.

    ProxyJump   ssh ── sshd as jump host ── sshd as target        records nothing
    bastion     ssh ── the bastion ──────── the same target       records everything

Both ways begin at the same stock client, with the same key and settings, and end at the same sshd
and account. Everything lives in temporary places, and is ended and removed with the stage.
"""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench import processes
from tests.bench.house import with_places
from tests.bench.processes import Meter
from tests.e2e.bastion import Bastion, environment
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.warm import Warm

SAME_KEX = "curve25519-sha256"
SAME_CIPHER = "aes128-gcm@openssh.com"

_CONFIG = """\
IgnoreUnknown ObscureKeystrokeTiming
ObscureKeystrokeTiming no
LogLevel ERROR
{more}
Host jump
  Port {jump}
Host target
  Port {target}
Host jump target
  HostName 127.0.0.1
  User {login}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the target: the arguments of `ssh` that take it."""

    name: str
    _config: Path
    _same_kex: Path
    _forced: Path
    _jump: tuple[str, ...]

    def ssh(self, *words: str, same_kex: bool = False, forced: bool = False) -> tuple[str, ...]:
        """`ssh -J … WORDS`; `same_kex` forces one key exchange on every hop of the client's,
        `forced` one cipher as well."""
        config = self._forced if forced else self._same_kex if same_kex else self._config
        return ("ssh", "-F", str(config), *self._jump, *words)

    @property
    def target(self) -> str:
        """What the target is called on this way."""
        return self._jump[-1]

    def files(self, program: str, *words: str, forced: bool = False) -> tuple[str, ...]:
        """`scp` or `sftp`; `words` name the target, `forced` as above."""
        config = self._forced if forced else self._config
        return (program, "-F", str(config), *self._jump[:-1], *words)


@dataclass(frozen=True, slots=True)
class Stage:
    """Both ways, and what is at their ends."""

    place: Path
    jump: Sshd
    target: Sshd
    bastion: Bastion
    contractor: Contractor
    by_proxyjump: Way
    by_bastion: Way

    @property
    def ways(self) -> tuple[Way, Way]:
        """First ProxyJump, then the bastion."""
        return self.by_proxyjump, self.by_bastion

    def run(self, command: tuple[str, ...], patience: float = 60.0) -> None:
        """Runs `command` to its end, without input or output. Raises RuntimeError if it fails."""
        self.fed(command, Path("/dev/null"), patience)

    def fed(self, command: tuple[str, ...], file: Path, patience: float = 60.0) -> None:
        """The same, with `file` as its input."""
        with file.open("rb") as stdin:
            done = subprocess.run(
                command,
                env=self.contractor.env,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=patience,
                check=False,
            )
        if done.returncode != 0:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr!r}")

    def metered(self, way: Way) -> AbstractContextManager[Meter]:
        """Measures the processor time of whatever stands in the middle of `way`."""
        if way is self.by_bastion:
            return processes.metered_family(self.bastion.pid)
        return processes.metered_below(self.jump_pid)

    @property
    def jump_pid(self) -> int:
        """The sshd that listens as the jump host."""
        return self.jump._process.pid

    def settle(self) -> None:
        """Waits until nobody is connected, and every recording is closed and on the disk."""
        processes.watch_until("both sshd are alone", self._nobody_is_there)
        processes.watch_until("recordings are closed", self._all_closed)

    def _nobody_is_there(self) -> bool:
        pids = (self.jump_pid, self.target._process.pid)
        return not any(processes.children(pid) for pid in pids)

    def _all_closed(self) -> bool:
        return not processes.writes_below(self.bastion.pid, self.recordings)

    @property
    def recordings(self) -> Path:
        """Where the bastion keeps what it records."""
        return self.bastion.home / "recordings"

    def recorded(self, suffix: str) -> int:
        """How many bytes the files `*.SUFFIX` of all recordings have."""
        return sum(file.stat().st_size for file in self.recordings.rglob(f"*.{suffix}"))

    def forget(self) -> None:
        """Removes all recordings, so that the disk does not fill up."""
        for file in self.recordings.rglob("*.*"):
            if file.is_file():
                file.unlink()


@contextmanager
def stage(workers: int = 1) -> Iterator[Stage]:
    """Everything started, and ended in the end."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        place.chmod(0o755)  # the target's account reads its files here
        jump, target = Sshd(), Sshd()
        stack.callback(jump.stop)
        stack.callback(target.stop)
        warm = Warm(environment())
        stack.callback(warm.stop)
        bastion = _bastion(place / "home", warm, target)
        stack.callback(bastion.stop)
        bastion.start(workers)
        contractor = Contractor.enrolled(place / "laptop", "alice", bastion, target.login)
        contractor.granted_now("--shell", "--sftp", "read", "--sftp", "write")
        contractor.certified_now()
        _let_in(contractor, jump)
        _let_in(contractor, target)
        yield Stage(place, jump, target, bastion, contractor, *_ways(contractor, jump, target))


def _bastion(home: Path, warm: Warm, target: Sshd) -> Bastion:
    bastion = Bastion(home, warm)
    with_places(bastion)
    target.trust(bastion.admin_now("ca", "show", "target").out)
    pinned = ("--host-key", str(target.host_key_file), "--shell-type", "bash")
    bastion.admin_now("host", "add", HOST, "--address", target.address, *pinned)
    return bastion


def _let_in(contractor: Contractor, sshd: Sshd) -> None:
    """The contractor's own key, and the server's among those that she knows."""
    keys = sshd.home / "authorized_keys"
    keys.mkdir(mode=0o755)
    (keys / sshd.login).write_text(contractor.public_key.read_text())
    host_key = " ".join(sshd.host_key_file.read_text().split()[:2])
    with contractor.known_hosts.open("a") as known:
        known.write(f"[127.0.0.1]:{sshd.port} {host_key}\n")


def _ways(contractor: Contractor, jump: Sshd, target: Sshd) -> tuple[Way, Way]:
    def configured(name: str, more: str) -> Path:
        ports = {"jump": jump.port, "target": target.port, "login": target.login}
        contractor.configure(_CONFIG.format(more=more, **ports))
        copy = contractor.config.with_name(name)
        copy.write_text(contractor.config.read_text())
        return copy

    configs = (
        configured("defaults", ""),
        configured("same-kex", f"KexAlgorithms {SAME_KEX}"),
        configured("forced", f"KexAlgorithms {SAME_KEX}\nCiphers {SAME_CIPHER}"),
    )
    to_host = ("-J", "bastion", f"{contractor.login}@{HOST}")
    return Way("ProxyJump", *configs, ("-J", "jump", "target")), Way("bastion", *configs, to_host)
