"""What is kept of a soak that was not sound: all that tells what became of an act.

The logs of the bastion and of the target, the home with its database, and every act that failed,
also those that were excused. Recordings are left out: they may be gigabytes, and the database says
what became of each.
"""

import shutil
from pathlib import Path
from tempfile import mkdtemp

from tests.soak.scene import Scene


def put_away(scene: Scene, failed: list[str]) -> Path:
    """Ends the bastion and copies it all into a new directory, which is left behind."""
    place = Path(mkdtemp(prefix="soak-kept-"))
    (place / "failed").write_text("".join(f"{sentence}\n" for sentence in failed))
    scene.bastion.stop(60)
    (place / "bastion.log").write_text(scene.bastion.log)
    (place / "sshd.log").write_text(scene.sshd.log)
    ignore = shutil.ignore_patterns("recordings", "*.sock")
    shutil.copytree(scene.bastion.home, place / "home", ignore=ignore)
    return place
