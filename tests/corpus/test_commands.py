"""Commands beside the one that was granted: what a shell would see in them is refused unseen.

`shlex.split` lets 39 of such lines through, bashlex 7. All that is granted here is `echo ok` and
one command with a quoted word. A line that is let through would leave a mark.
"""

import asyncio
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncssh
import pytest

from bastion.policy import (
    Ask,
    Identity,
    Knock,
    Mode,
    Permit,
    Reach,
    Run,
    may_login,
    may_reach,
    may_run,
)
from bastion.upstream import Connector
from bastion.wire.packets import Turn
from tests.corpus.world import HOST, LOGIN, OPERATOR, World, commands

GRANTED = ("echo ok", "printf %s 'two words'")
REFUSED = [
    "echo ok;touch MARK",
    "echo ok; touch MARK",
    "echo ok & touch MARK",
    "echo ok && touch MARK",
    "echo ok || touch MARK",
    "echo ok | tee MARK",
    "echo ok |& tee MARK",
    "echo ok > MARK",
    "echo ok >> MARK",
    "echo ok 2>MARK",
    "echo ok < /etc/passwd",
    "echo ok <<< x",
    "echo ok << x\ntouch MARK\nx",
    "echo ok\ntouch MARK",
    "echo ok\rtouch MARK",
    "echo ok\x0btouch MARK",
    "echo ok\x0ctouch MARK",
    "echo $(touch MARK)",
    "echo `touch MARK`",
    'echo "$(touch MARK)"',
    'echo "`touch MARK`"',
    "echo ${ok}",
    "echo $ok",
    'echo "$HOME"',
    "echo $((1+1))",
    "echo <(touch MARK)",
    "echo >(touch MARK)",
    "echo *",
    "echo o?",
    "echo [o]k",
    "echo {ok,no}",
    "echo {1..9}",
    "echo ~",
    "echo ~root",
    "(touch MARK)",
    "{ touch MARK; }",
    "! echo ok",
    "!!",
    'echo "ok!"',
    "echo ok # touch MARK",
    "echo ok\\",
    "echo \\ok",
    "'echo' ok \\; touch MARK",
    "LD_PRELOAD=/tmp/x.so echo ok",
    "PATH=/tmp echo ok",
    "x+=1 echo ok",
    "=echo ok",
    "echo =ok",
    "if true; then touch MARK; fi",
    "exec echo ok",
    "eval touch MARK",
    ". /tmp/x",
    "command echo ok",
    "env echo ok",
    "sh -c 'touch MARK'",
    "/bin/echo ok",
    "./echo ok",
    "-c touch",
    "%1",
    "echo ok extra",
    "echo",
    "ECHO ok",
    "echo OK",
    "echo\u00a0ok",
    "echo\u2003ok",
    "echo ok\u200b",
    "еcho ok",
    "echo 'ok",
    'echo "ok',
    "echo 'ok\x1b[2J'",
    "printf %s two words",
    "printf %s 'two  words'",
    "printf '%s' 'two words' x",
    "",
    "   ",
    "scp -t x; bash",
    "scp -f /etc/passwd",
    "echo ok" + "\0; touch MARK",
    "echo " + "x" * 40_000,
    "^ok^no",
    "echo ok^",
]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a line that is let through would leave."""
    return tmp_path / "mark"


def left(mark: Path) -> bool:
    """Whether something ran after all."""
    return mark.exists()


async def test_every_line_beside_the_granted_one_is_refused(world: World, mark: Path) -> None:
    """Each is refused with its reason and status 254, and nothing is even begun at the target."""
    assert len(REFUSED) >= 48
    alice = world.contractor("alice", commands(*GRANTED))
    async with world.jump(alice) as inner:
        for line in REFUSED:
            done = await inner.run(line.replace("MARK", str(mark)) or "\t")
            assert done.exit_status == 254, (line, done.exit_status)
            assert str(done.stderr).startswith("bastion: "), (line, done.stderr)
            assert done.stdout == "", line
    assert not left(mark)
    assert not world.sessions


async def test_what_is_sent_is_what_was_judged(world: World) -> None:
    """Blanks and quotes may be written otherwise: the words count, and our own writing is sent."""
    alice = world.contractor("alice", commands(*GRANTED))
    async with world.jump(alice) as inner:
        for line in ("echo ok", "  echo \t 'ok' ", "ec\"ho\" o'k'"):
            done = await inner.run(line)
            assert (done.stdout, done.exit_status) == ("ok\n", 0), line
        assert (await inner.run('printf %s "two words"')).stdout == "two words"
    assert {session.command for session in world.sessions} == set(GRANTED)


async def test_a_command_that_is_no_text_is_refused(world: World) -> None:
    """Bytes that are not UTF-8, an overlong encoding of `;` among them."""
    alice = world.contractor("alice", commands(*GRANTED))
    async with world.jump(alice) as inner:
        for line in (b"echo ok\xff", b"echo ok\xc0\xbbid", b"\xe2\x80echo ok", b"echo ok\x80"):
            done = await inner.run(line.decode("latin-1").encode("latin-1").decode("latin-1"))
            assert done.exit_status == 254, line
    assert not world.sessions


@pytest.mark.parametrize("what", ["shell", "pty", "sftp", "netconf"])
async def test_a_command_grant_gives_nothing_else(world: World, what: str) -> None:
    """No shell, no terminal (a pager on one starts anything), no subsystem."""
    alice = world.contractor("alice", commands(*GRANTED))
    async with world.jump(alice) as inner:
        if what == "shell":
            done = await inner.run(input="id; sh\n$SHELL\n\x03\n\x1b[A\n")
            assert (done.exit_status, done.stdout) == (254, "")
        elif what == "pty":
            done = await inner.run("echo ok", term_type="xterm")
            assert done.exit_status == 254
        else:
            process = await inner.create_process(subsystem=what, encoding=None)
            done = await process.wait()
            assert done.exit_status == 254
    assert not world.sessions


async def test_the_target_enforces_it_too(world: World) -> None:
    """The certificate that the bastion logs in with carries the command: were the bastion's own
    judgement wrong, the target would run nothing else."""
    alice = world.contractor("alice", commands(*GRANTED))
    async with world.jump(alice) as inner:
        assert (await inner.run("echo ok")).exit_status == 0
    assert isinstance(inner, asyncssh.SSHClientConnection)
    made = [entry for entry in world.services.store.ledger() if entry.kind == "target"]
    assert len(made) == 1
    assert made[0].host == "prod-host"


INJECTED = {
    "tar -tf {word}": [
        *["tar -tf --checkpoint-action=exec=sh", "tar -tf x --to-command=sh", "tar -tf ../x"],
        *["tar --use-compress-program=sh -tf x", "tar -tf x -I sh", "tar -xf x"],
    ],
    "git log --oneline {words}": [
        *[
            "git -c core.sshCommand=sh log --oneline",
            "git log --oneline --output=MARK",
            "git log -p",
        ],
        *[
            "git log --oneline main -c x",
            "git --exec-path=/tmp log --oneline",
            "git log --oneline ..",
        ],
    ],
    "find {path:/srv} -name {word}": [
        *["find /srv/a -exec touch MARK +", "find /srv/a -name x -delete", "find -D exec /srv/a"],
        *[
            "find /srv/../etc -name x",
            "find /srv/a -name -exec",
            "find / -name x",
            "find /srv -name x",
        ],
    ],
    "rsync --server --sender -logDtpre.iLsfxCIvu . {path:/srv}": [
        *[
            "rsync -e sh x y:",
            "rsync --server --sender -logDtpre.iLsfxCIvu . /etc",
            "rsync --server .",
        ],
        *["rsync --server -logDtpre.iLsfxCIvu . /srv/x", "rsync --rsync-path=sh x:y z"],
        "rsync --server --sender -logDtpre.iLsfxCIvu --copy-links . /srv/x",
    ],
    "psql -X -c 'select 1'": [
        *[
            "psql -X -c '\\! sh'",
            "psql -c 'select 1'",
            "psql -X -c 'select 2'",
            "psql -X -f /tmp/x",
        ],
        *["psql -X -c 'select 1' -c 'select 2'", "psql -X -c select 1", "psql"],
    ],
    "systemctl status --unit={re:[a-z]+}": [
        *[
            "systemctl status --unit=x --host=y",
            "systemctl status -H y",
            "systemctl status --unit=",
        ],
        *["systemctl status --unit=x;id", "systemctl edit --unit=x", "systemctl status --unit=-x"],
    ],
    "scp -f {path:/srv}": [
        "scp -t /srv/x",
        "scp -f /srv/x; bash",
        "scp -f -r /srv/x",
        "scp -t x; bash",
    ],
    "{ls,stat} {word}": [
        "ls",
        "ls -la",
        "ls x y",
        "lsof x",
        "LS x",
        "ls;x",
        "ls {a,b}",
        "{ls,stat} x",
    ],
}
"""For each template lines that would do more: options of one's choice, climbing, other words."""


@pytest.mark.parametrize("granted", INJECTED)
async def test_no_option_comes_in_by_a_placeholder(world: World, mark: Path, granted: str) -> None:
    """A placeholder never stands for a word that begins with `-` or climbs; other words count."""
    alice = world.contractor("alice", commands(granted))
    async with world.jump(alice) as inner:
        for line in INJECTED[granted]:
            done = await inner.run(line.replace("MARK", str(mark)))
            assert (done.exit_status, done.stdout) == (254, ""), line
            assert str(done.stderr).startswith("bastion: "), (line, done.stderr)
    assert not left(mark)
    assert not world.sessions


async def test_what_a_placeholder_takes_reaches_the_target_as_it_is(world: World) -> None:
    """Signs of a shell's own are words like others, where they are quoted."""
    alice = world.contractor("alice", commands("printf %s {word}"))
    async with world.jump(alice) as inner:
        for word in (
            "a b",
            "$HOME",
            ";id",
            "*",
            "`id`",
            "$(id)",
            "{a,b}",
            "~",
            '"',
            "x#y",
            "&",
            "é",
        ):
            done = await inner.run(f"printf %s '{word}'")
            assert (done.stdout, done.exit_status) == (word, 0), word
        assert (await inner.run('printf %s "it\'s"')).stdout == "it's"


async def test_a_terminal_only_where_the_template_says_so(world: World) -> None:
    """The target's certificate permits one only then: `systemctl status` has a pager with `sh`."""
    alice = world.contractor("alice", commands("{tty} stty size", "tty"))
    async with world.jump(alice) as inner:
        sized = await inner.run("stty size", term_type="xterm", term_size=(91, 17))
        assert (sized.exit_status, str(sized.stdout).strip()) == (0, "17 91")
        refused = await inner.run("tty", term_type="xterm")
        assert refused.exit_status == 254
        assert (await inner.run("tty")).stdout == "not a tty\n"
    assert [session.command for session in world.sessions] == ["stty size", "tty"]


@pytest.mark.parametrize(
    ("line", "terminal", "permits"),
    [("stty size", True, True), ("stty size", False, False), ("id", False, False)],
)
async def test_the_certificate_has_the_line_and_a_terminal_only_for_one(
    world: World, line: str, terminal: bool, permits: bool
) -> None:
    """What the target is shown for a run: it would refuse a pty, and any other command."""
    alice = world.contractor("alice", commands("{tty} stty size", "id"))
    services, key = world.services, alice.public
    facts = services.store.door_facts("alice", key.fingerprint, HOST, world.now)
    assert facts.user is not None
    identity = Identity(facts.user, key, "127.0.0.1")
    knock = Knock(identity, HOST, facts.host, 22, facts.grants, facts.certificates)
    reach = may_reach(knock, world.now)
    assert isinstance(reach, Reach)
    permit = may_login(reach, LOGIN, world.now)
    assert isinstance(permit, Permit)
    run = may_run(permit, Ask(Mode.EXEC, line.encode(), terminal), world.now)
    assert isinstance(run, Run)
    connector = Connector(
        services.authority, services.store, services.clock, Turn(), connect_timeout=5.0, dead=60.0
    )
    minted = connector._mint(run, 1).signed.line
    judge = partial(subprocess.run, capture_output=True, text=True, check=True, timeout=10)
    shown = (await asyncio.to_thread(judge, ["ssh-keygen", "-L", "-f", "-"], input=minted)).stdout
    assert f"force-command {line}\n" in shown
    assert ("permit-pty" in shown) is permits
    assert "permit-port-forwarding" not in shown


async def test_a_host_whose_shell_is_not_known_runs_no_command(world: World) -> None:
    """fish and csh read a backslash and a `!` within single quotes: what is quoted for sh is not
    for them. The grant may be for many hosts; the door asks for each."""
    alice = world.contractor("alice", commands("echo {words}"))
    known = world.services.store.host(HOST)
    assert known is not None
    async with world.jump(alice) as inner:
        assert (await inner.run("echo ok")).stdout == "ok\n"
    unknown = replace(known, name="fishy", aliases=frozenset(), shell_type=None)
    world.services.store.add_host(unknown, OPERATOR, world.now)
    world.grant(alice, commands("echo {words}"), host="fish*")
    world.certify(alice)
    async with world.jump(alice, host="fishy") as inner:
        for line in ("echo ok", "echo 'a;id'", "echo"):
            done = await inner.run(line)
            assert (done.exit_status, done.stdout) == (254, ""), line
            assert "its shell type is not known" in str(done.stderr)
        done = await inner.run()
        assert (done.exit_status, done.stdout) == (254, "")
    assert [session.command for session in world.sessions] == ["echo ok"]
