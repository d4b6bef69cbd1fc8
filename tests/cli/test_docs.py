"""The documents say what the program does, and every command says how it is used."""

import subprocess
from pathlib import Path

import click
import pytest

from bastion.inventory import Role
from cli.control import verbs_for
from cli.program import admin
from tests.cli.desks import Installation, Remote
from tests.cli.refresh_docs import FILE, SECTIONS, help_texts, refreshed


def test_the_help_texts_in_the_documents_are_the_programs() -> None:
    """`python -m tests.cli.refresh_docs` writes them anew."""
    text = FILE.read_text()
    assert refreshed(text) == text


@pytest.mark.parametrize("name", SECTIONS)
def test_every_help_has_an_example(name: str) -> None:
    """With the name that one types it by; only the answer to no verb at all goes without."""
    program, command = SECTIONS[name]
    for path, text in help_texts(program, command):
        example = text.partition("\nExample")[2]
        assert example.count(path) or path in ("ssh bastion", "bastion-admin"), path
        assert "..." not in text.partition("Commands:")[2], f"a line of {path} is cut short"


def options(command: click.Command) -> set[str]:
    """The long options of a command."""
    return {name for each in command.params for name in each.opts if name.startswith("--")}


CONTRACT = {
    "init": {"--listen", "--name"},
    "demo": {"--keep"},
    "trust": {"--format"},
    "user add": {"--key", "--role", "--group", "--email", "--sponsor", "--until"},
    "host add": {
        *("--address", "--host-key", "--host-ca", "--scan"),
        *("--alias", "--label", "--shell-type", "--widen"),
    },
    "host setup": {"--authorized-keys"},
    "grant": {
        *("--host", "--login", "--for", "--until", "--reason", "--shell", "--command", "--sftp"),
        *("--forward", "--from", "--hours", "--days", "--tz", "--source", "--ticket"),
        *("--watch-required", "--override"),
    },
    "grants": {
        *("--at", "--user", "--host", "--login", "--state", "--live", "--since", "--until"),
        *("--csv", "--json"),
    },
    "policy check": {"--json"},
    "policy test": {"--login", "--json"},
    "policy who-can": {"--json", "--csv"},
    "policy what-can": {"--json", "--csv"},
    "audit": {"--follow", "--json"},
    "audit verify": {"--json"},
    "notices": {"--json"},
    "notify test": {"--json"},
    "requests": {"--user", "--state", "--since", "--until", "--json", "--csv"},
    "approve": {"--comment", "--for"},
    "deny": {"--reason"},
    "extend": {"--for"},
    "revoke": {"--reason"},
    "review": {"--comment"},
    "certificates": {"--json"},
    "sessions": {
        *("--user", "--host", "--login", "--grant", "--live", "--since", "--until"),
        *("--csv", "--json"),
    },
    "show": {"--json"},
    "files": {"--host", "--path", "--sha256", "--user", "--csv", "--json"},
    "replay": {"--speed", "--from", "--at", "--idle"},
    "search": {"--user", "--host", "--since", "--until", "--json", "--csv"},
    "transcript": {"--from", "--until", "--json"},
    "kill": {"--reason"},
    "hold": {"--reason", "--json"},
    "release": {"--reason", "--json"},
    "holds": {"--json", "--csv"},
    "export": {"--raw", "--format", "--gzip"},
    "backup": {"--output", "--to", "--without-keys", "--recordings", "--json"},
    "restore": {"--home", "--identity", "--seal", "--keep-access", "--json"},
    "shut": {"--reason", "--keep", "--json"},
    "ca show": set[str](),
    "serve": {"--workers"},
    "doctor": set[str](),
    "user list": {"--json"},
    "user show": {"--json"},
    "user set": {"--role"},
    "user disable": set[str](),
    "user enable": set[str](),
    "user key add": set[str](),
    "user key remove": set[str](),
    "host list": {"--json"},
    "host show": {"--json"},
    "host set": {"--address"},
    "host remove": set[str](),
    "host check": {"--json"},
}


@pytest.mark.parametrize("words", CONTRACT)
def test_the_contract_is_kept(words: str) -> None:
    """Every command and option that was promised is there by its name."""
    command: click.Command = admin
    for word in words.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    assert options(command) >= CONTRACT[words]


def test_the_contract_is_kept_over_ssh() -> None:
    """What contractors may write when they ask."""
    commands = verbs_for(frozenset(Role)).commands
    asking = {"--login", "--for", "--reason", "--shell", "--sftp", "--forward", "--ticket"}
    assert options(commands["request"]) >= asking | {"--from", "--command", "--wait", "--extend"}
    assert options(commands["cancel"]) >= {"--json"}


GROUPS = {
    "policy": {"check", "test", "who-can", "what-can"},
    "audit": {"verify", "checkpoints"},
}


def test_the_remote_groups_are_written_down() -> None:
    """What is below a word may be run by whoever may say the word: the list is the whole list."""
    commands = verbs_for(frozenset(Role)).commands
    found = {n: set(c.commands) for n, c in commands.items() if isinstance(c, click.Group)}
    assert found == GROUPS


def test_a_certificate_that_powershell_wrote_is_refused(
    furnished: Installation, tmp_path: Path
) -> None:
    """docs/clients.md says so, and how to write it right: UTF-16 is not what OpenSSH reads."""
    with furnished.services() as services:
        line = Remote(services, "alice")("cert").out
    file = tmp_path / "id-cert.pub"
    for encoding, read in (("utf-16", False), ("ascii", True)):
        file.write_text(line, encoding=encoding, newline="\r\n")
        judged = subprocess.run(["ssh-keygen", "-Lf", file], capture_output=True, check=False)
        assert (judged.returncode == 0) is read
    assert "Out-File -Encoding ascii" in (FILE.parent / "clients.md").read_text()
