"""An sshd that refuses what a list says, and that can be told to trust a CA no more."""

import subprocess
from pathlib import Path

from bastion.krl import Krl, encode
from tests.e2e.sshd import Sshd


class RevokingSshd(Sshd):
    """A target with `RevokedKeys`. The list in `krl` is empty at first."""

    @property
    def krl(self) -> Path:
        """Where its list lies; whoever made that directory may put another one there."""
        return self.home / "revoked" / "krl"

    def distrust(self, ca_line: str) -> None:
        """Takes a user CA away."""
        kept = [line for line in self._trusted.read_text().splitlines() if line != ca_line.strip()]
        aside = self._trusted.with_suffix(".new")
        aside.write_text("".join(f"{line}\n" for line in kept))
        aside.rename(self._trusted)

    def _prepare(self) -> None:
        super()._prepare()
        self.krl.parent.mkdir()
        self.krl.write_bytes(encode(Krl()))

    def _configuration(self) -> str:
        return f"{super()._configuration()}RevokedKeys {self.krl}\n"


def fingerprint(line: str) -> str:
    """What sshd's log calls a key."""
    done = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[1]
