"""The control plane: who may run which verb over SSH, and that no verb leaves its channel."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bastion.app import Services
from bastion.inventory import Role
from cli.arguments import PublicKeyType
from cli.control import verbs_for
from tests.cli.desks import Installation, Remote

ROOT = Path(__file__).parents[2]

OWN = {"status", "hosts", "cert", "trust", "help"}


@pytest.fixture
def alice(services: Services) -> Remote:
    """A contractor."""
    return Remote(services, "alice")


@pytest.fixture
def olga(services: Services) -> Remote:
    """Auditor, approver and admin."""
    return Remote(services, "olga")


def test_one_is_told_who_one_is_and_what_to_do_next(alice: Remote, olga: Remote) -> None:
    """Grants with states and ends, then the next step; olga has nothing of her own."""
    said = alice().out
    assert said.startswith("You are alice (contractor), with the key SHA256:")
    assert "G-1" in said
    assert "ssh bastion cert > ~/.ssh/id_ed25519-cert.pub" in said
    assert "ssh -J bastion deploy@web-1" in said
    alice("cert")
    assert "ssh bastion cert" not in alice().out
    assert "You have no access now" in olga().out


def test_a_certificate_goes_to_stdout_and_its_place_to_stderr(alice: Remote) -> None:
    """So that `> ~/.ssh/id_ed25519-cert.pub` holds one line, which ssh-keygen reads."""
    said = alice("cert")
    assert said.out.count("\n") == 1
    read = subprocess.run(
        ["ssh-keygen", "-L", "-f", "-"], input=said.out, capture_output=True, text=True, check=True
    )
    assert "alice" in read.stdout
    assert "id_ed25519-cert.pub" in said.err
    assert "UTC" in said.err


def test_who_has_nothing_gets_no_certificate(olga: Remote) -> None:
    """One sentence, status 1, and nothing on stdout: the file stays empty."""
    said = olga("cert", status=1)
    assert said.out == ""
    assert said.err.startswith("ssh bastion: You have no grant")


def test_contractors_see_only_their_own(alice: Remote, olga: Remote, services: Services) -> None:
    """Their grants and hosts, never a list of others'."""
    assert [each["id"] for each in alice("status", "--json").json] == ["G-1"]
    assert [each["name"] for each in alice("hosts", "--json").json] == ["web-1"]
    assert olga("status", "--json").json == []
    assert olga("hosts", "--json").json == []
    for verb in ("grants", "sessions", "show", "revoke", "kill", "user", "host", "serve"):
        said = alice(verb, "G-1", status=2)
        assert said.err.startswith(f"ssh bastion: No such command '{verb}'.")


def test_an_unknown_verb_is_answered_with_the_nearest(alice: Remote) -> None:
    """And with how to see all of them, as `--help` would be taken by ssh itself."""
    assert "Did you mean 'status'?" in alice("statsu", status=2).err
    assert "See ssh bastion help." in alice("statsu", status=2).err
    assert "certificate" in alice("help").out
    assert "Usage: ssh bastion cert" in alice("help", "cert").out
    assert "See ssh bastion help cert." in alice("cert", "--frob", status=2).err


@pytest.mark.parametrize(
    ("role", "more"),
    [
        (Role.CONTRACTOR, set()),
        (Role.APPROVER, {"grants", "revoke"}),
        (Role.AUDITOR, {"sessions", "show", "grants"}),
        (Role.ADMIN, {"sessions", "show", "grants", "revoke", "kill"}),
    ],
)
def test_a_role_opens_its_verbs_and_no_others(role: Role, more: set[str]) -> None:
    """The allow-list, written down a second time."""
    assert set(verbs_for(frozenset({role})).commands) == OWN | more


def test_who_revokes_is_written_down(olga: Remote, alice: Remote) -> None:
    """The same verb as on the machine, with the person as the actor."""
    olga("revoke", "G-1", "--reason", "laptop lost")
    (grant,) = olga("grants", "--json").json
    assert (grant["state"], grant["revoked_by"]) == ("revoked", "olga")
    assert "no access" in alice().out


def test_a_terminal_gets_a_table(alice: Remote) -> None:
    """With colours, and lines of our own width."""
    said = alice("status", terminal=True).out
    assert "\x1b[" in said
    assert "active" in said


def remote_verbs() -> Iterator[click.Command]:
    """Everything that anybody can run over SSH."""
    group = verbs_for(frozenset(Role))
    yield group
    for verb in group.commands.values():
        assert not isinstance(verb, click.Group), "a group would need to be walked"
        yield verb


def test_no_remote_verb_takes_a_path_or_a_prompt() -> None:
    """By its parameters: no file, no question, no environment variable of this process."""
    for verb in remote_verbs():
        for parameter in verb.params:
            assert not isinstance(parameter.type, click.Path | click.File | PublicKeyType), verb
            assert not getattr(parameter, "prompt", None), verb
            assert not parameter.envvar, verb


CODE = (".py", ".pyc", ".so")
"""What an import opens."""

DATABASE = "bastion.db"

WATCHED = """
import json, sys
from pathlib import Path
from bastion.app import opened
from bastion.home import Home
from tests.cli.desks import Remote
home = Home(Path(sys.argv[1]))
seen = []
def watch(event, args):
    if event == "open" and isinstance(args[0], str | bytes | Path):
        seen.append(["open", str(args[0]), args[1] or args[2]])
    elif event.startswith(("subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork",
                           "pty.", "builtins.input", "webbrowser.", "os.rename", "os.remove")):
        seen.append([event, str(args), ""])
sys.stdin.close()
with opened(home) as services:
    remote = Remote(services, "olga")
    lines = json.loads(sys.argv[2])
    sys.addaudithook(watch)
    ended = []
    for line in lines:
        for terminal in (False, True):
            answers = ["/etc/passwd", "@/etc/passwd", "-", "|id", "~root", "$(id)"] * terminal
            done = remote(*line, status=None, terminal=terminal, answers=answers)
            ended.append([line, done.status])
    print(json.dumps({"seen": seen, "ended": ended}))
"""


def test_no_remote_verb_opens_a_file_or_starts_a_program(furnished: Installation) -> None:
    """By watching: each verb is run, with words that would be paths, under Python's audit hook.

    Nothing but the database is opened, nothing is started, and standard input is closed: what is
    asked goes through the channel alone, and an answer that would be a path is none.
    """
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    furnished("grant", "olga", "--host", "web-1", *to)
    lines = [
        [],
        ["status", "--json"],
        ["hosts", "--csv"],
        ["cert"],
        ["trust"],
        ["trust", "--format", "ssh_config"],
        ["help"],
        ["help", "cert"],
        ["sessions", "--user", "/etc/passwd"],
        ["show", "/etc/passwd"],
        ["show", "S-1"],
        ["show", "G-1"],
        ["show", "alice"],
        ["show", "web-1"],
        ["show", "1"],
        ["grants", "--csv"],
        ["grants", "--user", "-"],
        ["revoke", "@/etc/passwd", "--reason", "-"],
        ["revoke", "G-1", "--reason", "x"],
        ["kill", "S-1", "--reason", "x"],
        ["frob"],
    ]
    assert {line[0] for line in lines if line} >= set(verbs_for(frozenset(Role)).commands)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(furnished.home.directory), json.dumps(lines)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDITOR": "false", "PAGER": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    strange = [
        each for each in told["seen"] if not each[1].endswith(CODE) and DATABASE not in each[1]
    ]
    assert strange == []
    assert all(status in (0, 1, 2) for _, status in told["ended"])
    assert "mistake" not in done.stderr
