"""The `--help` texts of docs/cli.md; `python -m tests.cli.refresh_docs` writes them anew."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bastion.inventory import Role
from cli.control import PROGRAM as REMOTE
from cli.control import verbs_for
from cli.program import PROGRAM, admin

FILE = Path(__file__).parents[2] / "docs" / "cli.md"

WIDTH = 80

SECTIONS = {
    "bastion-admin": (PROGRAM, admin),
    "ssh-bastion": (REMOTE, verbs_for(frozenset(Role))),
}
"""What stands between `<!-- NAME -->` and `<!-- /NAME -->`."""


def help_texts(
    name: str, command: click.Command, parent: click.Context | None = None
) -> Iterator[tuple[str, str]]:
    """Each command's whole name and its help, depth first."""
    with click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH) as context:
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            for verb, found in command.commands.items():
                yield from help_texts(verb, found, context)


def section(name: str) -> str:
    """A section's text in Markdown."""
    program, command = SECTIONS[name]
    return "".join(
        f"\n### {path}\n\n```text\n{text}\n```\n" for path, text in help_texts(program, command)
    )


def refreshed(text: str) -> str:
    """`text` with every section as the program has it now."""
    for name in SECTIONS:
        whole = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->\n)", re.DOTALL)
        replaced, count = whole.subn(lambda found: found[1] + section(name) + found[2], text)  # noqa: B023 (used at once)
        assert count == 1, f"{FILE} has no section {name}"
        text = replaced
    return text


if __name__ == "__main__":
    FILE.write_text(refreshed(FILE.read_text()))
    sys.stdout.write(f"{FILE} is up to date.\n")
