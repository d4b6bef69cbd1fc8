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
from bastion.signin import SignIn
from cli.arguments import PAST, PublicKeyType
from cli.control import ControlPlane, verbs_for
from cli.program import admin
from recorder import Kind
from tests.cli.desks import Caller, Installation, Remote
from tests.cli.recordings import recorded, session

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
    for verb in ("requests", "sessions --since 1d", "audit --since 1d", "kill S-N"):
        assert f"ssh bastion {verb}" in olga().out
        assert f"ssh bastion {verb}" not in said


def test_what_was_revoked_was_over_then_for_everybody(furnished: Installation) -> None:
    """Its owner and whoever lists grants read one end."""
    furnished("revoke", "G-1", "--reason", "done")
    with furnished.services() as services:
        mine = Remote(services, "alice")("status", "--csv").out.splitlines()[1].split(",")
    theirs = furnished("grants", "--csv").out.splitlines()[1].split(",")
    assert mine[6] == theirs[7] != mine[5]


def test_a_name_that_is_nobodys_is_told_of(services: Services, alice: Remote) -> None:
    """The key says who it is: whoever types a name that is nobody's should know whom it is."""
    sign_in = SignIn(services.store, services.authority, services.clock)
    user = services.store.user("alice")
    assert user is not None
    names = {"alice": None, "Alice": None, "bob": "bob", "a\x1b[2J": "a\x1b[2J", "olga": ...}
    for name, called in names.items():
        known = sign_in.known(name, user.keys[0].blob, "192.0.2.7")
        assert (... if known is None else known[1].called) == called
        if known is not None:
            heard = Caller("")
            ControlPlane(services).run(known[1], [], heard)
            told = "".join(heard.heard.out)
            assert ("is nobody's here." in told) is (called is not None)
            assert "\x1b" not in told
    assert "nobody's" not in alice().out


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
    assert "Your ssh may not know web-1 yet: if it asks" in said.err


def test_of_a_host_that_one_may_ask_for_no_more_is_said(bastion: Services) -> None:
    """What was pasted has its name already."""
    assert "may not know" not in Remote(bastion, "alice")("cert").err


def test_who_has_nothing_gets_no_certificate(olga: Remote) -> None:
    """One sentence, status 1, and nothing on stdout: the file stays empty."""
    said = olga("cert", status=1)
    assert said.out == ""
    assert said.err.startswith("ssh bastion: You have no grant")


def test_a_verb_of_two_words_has_help_as_well(olga: Remote) -> None:
    """As the sentence about a mistake says."""
    refused = olga("policy", "who-can", status=2).err
    assert "See ssh bastion help policy who-can." in refused
    assert "Usage: ssh bastion policy who-can" in olga("help", "policy", "who-can").out
    assert "No such command 'who'" in olga("help", "policy", "who", status=2).err


def test_contractors_see_only_their_own(alice: Remote, olga: Remote, services: Services) -> None:
    """Their grants and hosts, never a list of others'."""
    assert [each["id"] for each in alice("status", "--json").json] == ["G-1"]
    assert [each["name"] for each in alice("hosts", "--json").json] == ["web-1"]
    assert olga("status", "--json").json == []
    assert olga("hosts", "--json").json == []
    for verb in ("grants", "sessions", "files", "requests", "approve", "kill", "user", "serve"):
        said = alice(verb, "G-1", status=2)
        assert said.err.startswith(f"ssh bastion: No such command '{verb}'.")


def test_an_unknown_verb_is_answered_with_the_nearest(alice: Remote) -> None:
    """And with how to see all of them, as `--help` would be taken by ssh itself."""
    assert "Did you mean 'status'?" in alice("statsu", status=2).err
    assert "See ssh bastion help." in alice("statsu", status=2).err
    assert "certificate" in alice("help").out
    assert "Usage: ssh bastion cert" in alice("help", "cert").out
    assert "See ssh bastion help cert." in alice("cert", "--frob", status=2).err
    assert "There is nothing below cert." in alice("help", "cert", "now", status=2).err


APPROVERS = {"requests", "approve", "deny", "grants", "show", "extend", "revoke"}
AUDITORS = {
    *(
        "sessions",
        "show",
        "files",
        "replay",
        "transcript",
        "search",
        "watch",
        "export",
        "verify",
        "grants",
        "certificates",
        "requests",
        "review",
        "policy",
        "audit",
    ),
    *("hold", "release", "holds"),
}
ROLES = {
    Role.CONTRACTOR: {"request", "cancel", "revoke"},
    Role.APPROVER: APPROVERS,
    Role.AUDITOR: AUDITORS,
    Role.ADMIN: APPROVERS | AUDITORS | {"kill"},
}
"""The allow-list, written down a second time."""


@pytest.mark.parametrize("role", Role)
def test_a_role_opens_its_verbs_and_no_others(role: Role) -> None:
    """Each role by itself."""
    assert set(verbs_for(frozenset({role})).commands) == OWN | ROLES[role]


@pytest.mark.parametrize("role", Role)
def test_what_is_not_on_the_list_is_no_such_command(services: Services, role: Role) -> None:
    """Whatever `bastion-admin` has, in any spelling, by its beginning, behind dashes."""
    olga = Remote(services, "olga")
    Installation.at(services.home)("user", "set", "olga", "--role", role.value)
    mine = OWN | ROLES[role]
    everything = set(admin.commands) | set().union(*ROLES.values()) | OWN
    assert mine < everything
    for verb in sorted(everything):
        spellings = {verb.upper(), verb.capitalize(), verb[:-1], f"{verb} ", f"-{verb}", verb}
        for word in spellings - mine:
            said = olga(word, "G-1", status=2)
            assert said.out == ""
            assert said.err.startswith("ssh bastion: No such "), (word, said)


def test_roles_add_up(services: Services) -> None:
    """An approver who is a contractor too revokes any grant, a contractor her own."""
    alice, desk = Remote(services, "alice"), Installation.at(services.home)
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    desk("grant", "olga", "--host", "web-1", *to)
    others, none = (alice.typed(f"revoke {each} --reason x", 1).err for each in ("G-2", "G-9"))
    assert others.replace("G-2", "G-9") == none
    assert "neither" not in alice.typed("revoke 31 --reason x", 1).err
    assert alice.typed("revoke G-1 --reason it's done").err == "G-1 is given back.\n"
    (given_back,) = alice("status", "--json").json
    assert (given_back["revoked_by"], given_back["revoke_reason"]) == ("alice", "it's done")
    desk("user", "set", "alice", "--role", "contractor", "--role", "approver")
    assert alice.typed("revoke G-2 --reason x").err == "G-2 of olga is revoked.\n"


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


def remote_verbs(group: click.Group | None = None) -> Iterator[click.Command]:
    """Everything that anybody can run over SSH, below a verb of several words too."""
    group = group or verbs_for(frozenset(Role))
    yield group
    for verb in group.commands.values():
        if isinstance(verb, click.Group):
            yield from remote_verbs(verb)
        else:
            yield verb


def test_no_remote_verb_takes_a_path_or_a_prompt() -> None:
    """By its parameters: no file, no question, no environment variable of this process."""
    for verb in remote_verbs():
        for parameter in verb.params:
            assert not isinstance(parameter.type, click.Path | click.File | PublicKeyType), verb
            assert not getattr(parameter, "prompt", None), verb
            assert not parameter.envvar, verb


def test_wherever_one_looks_back_a_duration_does() -> None:
    """Every `--since` there is, here and on the machine; and what stands beside it, for its end."""
    verbs = [*remote_verbs(), *remote_verbs(admin)]
    back = [verb for verb in verbs if any("--since" in each.opts for each in verb.params)]
    assert len(back) > 10
    for verb in back:
        for parameter in verb.params:
            if {"--since", "--until", "--at"} & {*parameter.opts}:
                assert parameter.type is PAST, (verb.name, parameter.name)


CODE = (".py", ".pyc", ".so")
"""What an import opens."""

DATABASE, RULES = "bastion.db", "policy.toml"

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
def enough():
    raise KeyboardInterrupt
sys.stdin.close()
with opened(home) as services:
    remote = Remote(services, "olga")
    lines = json.loads(sys.argv[2])
    sys.addaudithook(watch)
    ended = []
    for line in lines:
        for terminal in (False, True):
            answers = ["/etc/passwd", "@/etc/passwd", "-", "|id", "~root", "$(id)"] * terminal
            done = remote(
                *line, status=None, terminal=terminal, answers=answers, meanwhile=[enough]
            )
            ended.append([line, done.status])
    print(json.dumps({"seen": seen, "ended": ended}))
"""


def is_recording(seen: list[str], directory: str) -> bool:
    """Whether a recording was opened, and only to be read."""
    event, path, mode = seen
    return event == "open" and path.startswith(directory) and mode == "r"


@pytest.fixture
async def seen(furnished: Installation) -> Installation:
    """With a session S-1 that is over, and S-2 that goes on."""
    with furnished.services() as services:
        await recorded(services.archive, Kind.SHELL, None)
        await services.archive.begin(session(Kind.SHELL, None))
    return furnished


def test_no_remote_verb_opens_a_file_or_starts_a_program(seen: Installation) -> None:
    """By watching: each verb is run, with words that would be paths, under Python's audit hook.

    Nothing but the database is opened, and recordings that were asked for by their number, to be
    read; nothing is started, and standard input is closed: what is asked goes through the channel
    alone, and an answer that would be a path is none.
    """
    to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "x")
    seen("grant", "olga", "--host", "web-1", *to)
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
        ["requests", "--all"],
        ["requests", "/etc/passwd"],
        ["request", "web-1", "--login", "/etc/passwd", "--reason", "@/etc/passwd"],
        ["request", "web-1", *to[:4], "1h", "--reason", "-"],
        ["approve", "R-1", "--comment", "@/etc/passwd"],
        ["deny", "R-1", "--reason", "@/etc/passwd"],
        ["cancel", "R-1"],
        ["extend", "G-1", "--for", "1h"],
        ["review"],
        ["review", "G-1", "--comment", "@/etc/passwd"],
        ["certificates", "--csv"],
        ["files", "--path", "/etc/passwd"],
        ["replay", "S-1"],
        ["transcript", "S-1"],
        ["search", "/etc/passwd"],
        ["search", "--session", "S-1", "--", "@/etc/passwd", "--since", "-"],
        ["transcript", "/etc/passwd"],
        ["transcript", "S-1", "--json", "--from", "/etc/passwd"],
        ["replay", "/etc/passwd"],
        ["replay", "S-1", "--from", "/etc/passwd"],
        ["watch", "S-2"],
        ["watch", "/etc/passwd"],
        ["export", "S-1"],
        ["export", "S-1", "--raw", "stderr"],
        ["export", "S-1", "--raw", "sent"],
        ["export", "S-1", "--raw", "stdin"],
        ["export", "S-1", "--raw", "stdin", "--identity", "/etc/passwd"],
        ["export", "S-1", "-o", "/tmp/export"],
        ["export", "/etc/passwd"],
        ["verify", "S-1"],
        ["verify", "--all"],
        ["verify", "/etc/passwd"],
        ["audit", "--user", "alice"],
        ["audit", "--what", "/etc/passwd"],
        ["audit", "verify"],
        ["audit", "checkpoints"],
        ["policy", "check"],
        ["policy", "check", "/etc/passwd"],
        ["policy", "test", "alice", "web-1", *to[:4], "1h", "--reason", "@/etc/passwd"],
        ["policy", "who-can", "web-1"],
        ["policy", "what-can", "alice", "--json"],
        ["revoke", "@/etc/passwd", "--reason", "-"],
        ["revoke", "G-1", "--reason", "x"],
        ["kill", "S-1", "--reason", "x"],
        ["hold", "/etc/passwd", "--reason", "@/etc/passwd"],
        ["hold", "S-1", "--reason", "@/etc/passwd"],
        ["hold", "G-1", "--reason", "x"],
        ["release", "G-1", "--of", "/etc/passwd", "--reason", "x"],
        ["release", "G-1", "--reason", "x"],
        ["holds", "--all", "--csv"],
        ["frob"],
    ]
    assert {line[0] for line in lines if line} >= set(verbs_for(frozenset(Role)).commands)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(seen.home.directory), json.dumps(lines)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "EDITOR": "false", "PAGER": "false"},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    expected = (*CODE, RULES)
    strange = [
        each for each in told["seen"] if not each[1].endswith(expected) and DATABASE not in each[1]
    ]
    recordings = f"{seen.home.recordings}/"
    read = {Path(each[1]).name for each in strange if is_recording(each, recordings)}
    seals = {"S-1.manifest", "S-1.manifest.sig"}
    assert read == {"S-1.cast", "S-1.sent", "S-2.cast"} | seals
    assert [each for each in strange if not is_recording(each, recordings)] == []
    assert all(status in (0, 1, 2) for _, status in told["ended"])
    assert "mistake" not in done.stderr
