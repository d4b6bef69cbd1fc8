"""The examples of docs/commands.md are what they say."""

import re
from pathlib import Path

import pytest

from bastion.cautions import cautions
from bastion.commands import parse
from bastion.errors import BadInput
from bastion.templates import parse_template

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text()
EXAMPLES = re.findall(r"^```template\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_what_it_says(example: str) -> None:
    """The template is written in its canonical way; `+` is let through, `-` is not."""
    line, *tried = example.splitlines()
    template = parse_template(line)
    assert str(template) == line
    assert {each[:2] for each in tried} == {"+ ", "- "}
    for each in tried:
        assert let_through(line, each[2:]) is each.startswith("+ "), each


def let_through(template: str, line: str) -> bool:
    try:
        return parse_template(template).matches(parse(line).argv)
    except BadInput:
        return False


@pytest.mark.parametrize(
    "program", ["journalctl", "systemctl", "psql", "kubectl", "docker", "tail"]
)
def test_the_programs_that_people_ask_for_have_examples(program: str) -> None:
    """Each of them."""
    assert any(example.startswith(program) for example in EXAMPLES)


def test_the_warning_is_the_programs() -> None:
    """As it is shown."""
    (caution,) = cautions(parse_template("less {path:/var/log}"))
    assert f"\n    {caution}\n" in PAGE
