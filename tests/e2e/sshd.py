"""A real OpenSSH sshd on loopback, as the target behind the bastion.

As root it serves two accounts of its own, `prod` and `deploy`, which it adds when they are not
there and leaves in place; they have no password and no key. Otherwise it serves the account that
runs the tests.
"""

import getpass
import grp
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SSHD = "/usr/sbin/sshd"
ACCOUNTS = ("prod", "deploy")
START_SECONDS = 10.0


class Sshd:
    """A listening sshd. It trusts the user CAs that it is told of by `trust`, and nothing else."""

    def __init__(self, *, principals: dict[str, str] | None = None) -> None:
        """`principals` maps logins to the text of their AuthorizedPrincipalsFile, if any."""
        self._root = os.geteuid() == 0
        self.logins = ACCOUNTS if self._root else (getpass.getuser(),)
        self.home = Path(tempfile.mkdtemp(prefix="sshd-"))
        self.home.chmod(0o755)
        self.port = _free_port()
        self.log_file = self.home / "log"
        self._trusted = self.home / "trusted"
        self._trusted.touch()
        self._prepare()
        self._make_keys()
        self._principals(principals)
        self._process = self._start()

    @property
    def login(self) -> str:
        """The account that tests use when any will do."""
        return self.logins[0]

    @property
    def address(self) -> str:
        """HOST:PORT, as `host add --address` takes it."""
        return f"127.0.0.1:{self.port}"

    @property
    def host_key_file(self) -> Path:
        """Its public host key."""
        return self.home / "host_key.pub"

    @property
    def log(self) -> str:
        """All that it logged so far, at VERBOSE."""
        return self.log_file.read_text(errors="replace")

    def trust(self, *ca_lines: str) -> None:
        """Adds to the user CAs that it trusts. It reads them anew at every sign-in."""
        aside = self._trusted.with_suffix(".new")
        told = self._trusted.read_text()
        aside.write_text(told + "".join(f"{line.strip()}\n" for line in ca_lines))
        aside.rename(self._trusted)

    def stop(self) -> None:
        """Ends it by its process id, and removes its files."""
        self._process.terminate()
        self._process.wait(START_SECONDS)
        shutil.rmtree(self.home)

    def _prepare(self) -> None:
        if self._root:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
            for name in ACCOUNTS:
                _add_account(name)

    def _make_keys(self) -> None:
        key = self.home / "host_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)

    def _principals(self, principals: dict[str, str] | None) -> None:
        self._principals_dir = None
        if principals is not None:
            self._principals_dir = self.home / "principals"
            self._principals_dir.mkdir()
            for login, text in principals.items():
                (self._principals_dir / login).write_text(text)

    def _configuration(self) -> str:
        lines = [
            f"ListenAddress 127.0.0.1:{self.port}",
            f"HostKey {self.home}/host_key",
            f"TrustedUserCAKeys {self._trusted}",
            f"AuthorizedKeysFile {self.home}/authorized_keys/%u",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",  # files under /tmp can't be strict
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin no",
            "LogLevel VERBOSE",
            "UseDNS no",
            "PrintMotd no",
            "PrintLastLog no",
            "AcceptEnv LANG LC_*",
            "X11Forwarding yes",
            "MaxStartups 100",
            "MaxSessions 100",
            "LoginGraceTime 20",
            "Subsystem sftp internal-sftp",
        ]
        if self._principals_dir is not None:
            lines.append(f"AuthorizedPrincipalsFile {self._principals_dir}/%u")
        return "".join(f"{line}\n" for line in lines)

    def _start(self) -> subprocess.Popen[bytes]:
        configuration = self.home / "sshd_config"
        configuration.write_text(self._configuration())
        subprocess.run([SSHD, "-t", "-f", configuration], check=True)
        process = subprocess.Popen(
            [SSHD, "-D", "-f", configuration, "-E", self.log_file],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._listening():
            assert process.poll() is None, f"sshd ended at once: {self.log}"
            assert time.monotonic() < deadline, f"sshd does not listen: {self.log}"
            time.sleep(0.01)
        return process

    def _listening(self) -> bool:
        return self.log_file.exists() and "Server listening on" in self.log


def gives_terminals() -> bool:
    """Whether an sshd of ours can hand out terminals.

    It gives each to the group `tty`. Where devpts does not do that by itself, only root can.
    """
    if os.geteuid() == 0:
        return True
    ours, child = os.openpty()
    group = os.fstat(child).st_gid
    os.close(ours)
    os.close(child)
    return group == grp.getgrnam("tty").gr_gid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _add_account(name: str) -> None:
    """A locked account (`!`) is refused without PAM; `*` is no password that could be typed."""
    known = subprocess.run(["getent", "passwd", name], check=False, capture_output=True)
    if known.returncode != 0:
        subprocess.run(["useradd", "-m", "-s", "/bin/bash", "-p", "*", name], check=True)
