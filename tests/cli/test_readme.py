"""What the documents tell people to type is what the program takes."""

import re
import shlex
from pathlib import Path

import click
import pytest

from bastion.inventory import Role
from cli.control import verbs_for
from cli.program import admin

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in (
            "architecture.md",
            "clients.md",
            "operations.md",
            "threat-model.md",
            "retention.md",
        )
    ),
]
LINE = re.compile(r"^\s*\$?\s*(bastion-admin .+?|ssh bastion [a-z].+?)(?:\s+#.*)?$", re.MULTILINE)


def typed() -> list[str]:
    """Every command line of ours that the documents show, with its continuation cut off."""
    texts = (re.sub(r"\\\n\s*", "", path.read_text()) for path in DOCUMENTS)
    return sorted({line for text in texts for line in LINE.findall(text)})


def taken_apart(line: str) -> tuple[click.Command, list[str]]:
    """The command that a line names, and the words behind it."""
    words = shlex.split(re.split(r"\s[>|&]", line)[0])
    command: click.Command = verbs_for(frozenset(Role)) if words[0] == "ssh" else admin
    rest = words[2:] if words[0] == "ssh" else words[1:]
    while isinstance(command, click.Group) and not (rest and rest[0].startswith("-")):
        if not rest and command.invoke_without_command:
            break
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def test_the_documents_show_commands() -> None:
    """The lines are found at all."""
    assert len(typed()) > 15


@pytest.mark.parametrize("line", typed())
def test_a_line_of_the_documents_can_be_typed(line: str) -> None:
    """Its verb exists, with these options and that many arguments."""
    command, words = taken_apart(line)
    known = {name for each in command.params for name in each.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known
    command.make_parser(click.Context(command)).parse_args(list(words))


def test_the_two_commands_of_the_readme_are_the_makefiles() -> None:
    """`make demo` and `make test` are there."""
    targets = (ROOT / "Makefile").read_text()
    for name in re.findall(r"^ {4}make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE):
        assert re.search(rf"^{name}:", targets, re.MULTILINE), name
