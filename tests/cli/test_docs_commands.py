"""Commands that the docs name in passing: each verb and each option is there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bastion.inventory import Role
from cli.control import verbs_for
from cli.program import admin

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")]
REMOTE = verbs_for(frozenset(Role))


def commands(page: Path) -> Iterator[str]:
    """What stands between marks or on a line of its own, up to what a shell makes of the rest."""
    for line in page.read_text().splitlines():
        typed = re.sub(r"^\s*(\w*\$ )?", "", line)
        spans = re.findall(r"`([^`]+)`", line)
        for span in [*spans, *([typed] if typed.startswith(("bastion-admin ", "ssh ")) else [])]:
            yield re.split(r"\s+#|[|>;]| && | -- ", span)[0]


def options_of(group: click.Group, words: list[str]) -> set[str] | None:
    """The options of the verb that these words run; None where they run none."""
    found: click.Command = group
    known = {each for param in group.params for each in param.opts}
    for word in words:
        below = found.commands.get(word) if isinstance(found, click.Group) else None
        if below is not None:
            found = below
            known |= {each for param in found.params for each in param.opts}
            known |= {each for param in found.params for each in param.secondary_opts}
    return None if found is group else known | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_is_there(page: Path) -> None:
    """A verb with an option that it does not have is a page that nobody has typed."""
    for command in commands(page):
        whose = re.match(r"(bastion-admin|ssh (?:-t )?bastion) (.*)", command)
        try:
            words = shlex.split(whose[2] if whose else command)
        except ValueError:
            continue
        groups = [admin, REMOTE] if whose is None else [admin if whose[1][0] == "b" else REMOTE]
        known = [found for group in groups if (found := options_of(group, words)) is not None]
        used = {word.partition("=")[0].rstrip(",.") for word in words if word.startswith("--")}
        if known and words[0] in {name for group in groups for name in group.commands}:
            assert any(used <= options for options in known), command
