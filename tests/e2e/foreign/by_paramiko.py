"""What a program with paramiko does: both hops, a command, a file each way. Ends with 0 if it may.

    by_paramiko.py PORT NAME KEY LOGIN HOST FINGERPRINT WAY COMMAND|- DOWN|- UP|-

WAY is `channel` (direct-tcpip of a first client), or a command that reaches the target.
DOWN and UP are paths at the target, for `down` and `up` beside KEY.
"""

import sys
from pathlib import Path

import paramiko  # type: ignore[import-untyped]


class Pinned(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Takes the one host key that is known by its fingerprint."""

    def __init__(self, fingerprint: str):
        self._fingerprint = fingerprint

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """Raises SSHException for another."""
        if key.fingerprint != self._fingerprint:
            raise paramiko.SSHException(f"{hostname} showed {key.fingerprint}")


def main(port: str, name: str, key: str, login: str, host: str, *rest: str) -> int:
    """Connects, and does what is asked."""
    fingerprint, way, command, down, up = rest

    def connected(address: str, user: str, **more: object) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(Pinned(fingerprint))
        options = {"key_filename": key, "allow_agent": False, "look_for_keys": False}
        client.connect(address, username=user, timeout=10, **options, **more)
        return client

    if way == "channel":
        outer = connected("127.0.0.1", name, port=int(port))
        transport = outer.get_transport()
        sock = transport.open_channel("direct-tcpip", (host, 22), ("127.0.0.1", 0))
    else:
        sock = paramiko.ProxyCommand(way)
    inner = connected(host, login, sock=sock)
    if command != "-":
        _, out, err = inner.exec_command(command, timeout=10)
        sys.stdout.write(out.read().decode())
        sys.stderr.write(err.read().decode())
        return int(out.channel.recv_exit_status())
    sftp = inner.open_sftp()
    sftp.get(down, str(Path(key).parent / "down"))
    sftp.put(str(Path(key).parent / "up"), up)
    sftp.close()
    inner.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
