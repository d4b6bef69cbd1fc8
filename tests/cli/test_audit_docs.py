"""docs/audit.md says what the log has, and how to check it without us."""

import re
import subprocess
import sys
from pathlib import Path

from bastion.config import AuditSettings
from bastion.events import Chain, Happened, Head, What, following
from tests.bastion.worlds import NOW

TEXT = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()


def test_every_kind_of_event_is_in_the_table() -> None:
    """And nothing else."""
    table = TEXT.partition("| kinds | |")[2].partition("## ")[0]
    kinds = re.findall(r"`([a-z]+\.[a-z_]+)`", table)
    assert sorted(kinds) == sorted(What)


def test_the_program_in_the_document_checks_lines(tmp_path: Path) -> None:
    """With Python alone: it takes ours, and not what was changed."""
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    chain = Chain("gate", "9f31c04e77aa2d10")
    first = following(1, chain, None, Happened(What.SESSION_STARTED, "alice", why="é\x1b\x7f"), NOW)
    head = Head(chain, first.seq, first.hash)
    second = following(2, chain, head, Happened(What.SESSION_ENDED, "alice"), NOW)
    lines = b"%b\n%b\n" % (first.line(), second.line().replace(b"alice", b"bob"))
    script = tmp_path / "check.py"
    script.write_text(program)
    ran = subprocess.run([sys.executable, script], input=lines, capture_output=True, check=True)
    assert ran.stdout.decode().splitlines() == ["1 True", "2 False"]


def test_the_settings_are_those_that_there_are() -> None:
    """Each is in the document."""
    for name in AuditSettings.model_fields:
        assert re.search(rf"^    {name} = ", TEXT, re.MULTILINE), name
