"""`ssh -J bastion LOGIN@prod-host` with a stock client and a real sshd: as if nothing were between.

Every test runs against the one bastion of the session; what it leaves running, it ends.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh

from tests.e2e.contractor import HOST, Contractor, multiplexed
from tests.e2e.watching import PATIENCE

MIB = 2**20

# Commands


async def test_what_happens_on_a_jump_is_in_the_log_in_its_order(alice: Contractor) -> None:
    """A session is over before it is sealed, and before the jump that it was on."""
    assert (await alice.jump("true")).status == 0
    [session] = await alice.bastion.rows("sessions", "--limit", "1")
    what: list[str] = []
    async with asyncio.timeout(PATIENCE):
        while "connection.closed" not in what:
            lines = (await alice.bastion.admin("audit", "--json")).out.splitlines()
            told = sorted(map(json.loads, lines), key=lambda each: int(each["id"]))
            what = [each["what"] for each in told if each["connection"] == session["connection"]]
    assert what == [
        "connection.opened",
        "certificate.signed",
        "session.started",
        "session.ended",
        "recording.sealed",
        "connection.closed",
    ]


async def test_output_errors_and_status_come_back(alice: Contractor) -> None:
    """stdout and stderr stay apart and hold what the program wrote, nothing of ours."""
    done = await alice.jump("echo out; echo err >&2; exit 7")
    assert (done.out, done.err, done.status) == ("out\n", "err\n", 7)


async def test_the_target_sees_the_login_that_was_granted(alice: Contractor) -> None:
    """The program runs as the target's account, in its home."""
    done = await alice.jump("id -un; echo $HOME; pwd")
    login, home, here = done.out.split()
    assert (login, home) == (alice.login, here)


async def test_every_exit_status_comes_back(alice: Contractor, short: Path) -> None:
    """From 0 to 255, also those that mean something to ssh or to us."""
    async with multiplexed(alice, short) as through:
        for status in (0, 1, 2, 126, 127, 128, 143, 253, 254, 255):
            assert (await through(f"exit {status}")).status == status


async def test_a_death_by_signal_is_told_as_one(alice: Contractor) -> None:
    """The client hears an exit-signal, not an exit status."""
    done = await alice.jump("kill -TERM $$", options=("-v",))
    assert done.status == 255
    assert "rtype exit-signal" in done.err
    assert "rtype exit-status" not in done.err


async def test_words_arrive_as_they_were_sent(alice: Contractor) -> None:
    """Quotes, blanks, newlines, bytes that are not UTF-8: the shell at the target reads them."""
    done = await alice.jump("printf '%s|' \"a  b\" 'c\nd' $((40 + 2)) 'ä€'")
    assert done.out == "a  b|c\nd|42|ä€|"
    odd = os.fsdecode(b"printf '\\xff%s' '\xff\xfe'")
    done = await alice.jump(odd)
    assert done.stdout == b"\xff\xff\xfe"


async def test_permitted_environment_arrives(alice: Contractor) -> None:
    """A locale goes along, as sshd's AcceptEnv lets it; nothing else does."""
    alice.env |= {"LC_TIME": "C.UTF-8", "SECRET": "x"}
    try:
        done = await alice.jump(
            "echo $LC_TIME.$SECRET.$LC_ALL",
            options=("-o", "SendEnv=LC_TIME SECRET", "-o", "SetEnv=LC_ALL=../../evil"),
        )
    finally:
        del alice.env["LC_TIME"], alice.env["SECRET"]
    assert done.out == "C.UTF-8..\n"


# stdin


async def test_a_closed_stdin_is_closed_at_the_target(alice: Contractor) -> None:
    """`ssh -n`: the program reads an end of file at once."""
    done = await alice.jump("cat; echo done", options=("-n",), stdin=None)
    assert (done.out, done.status) == ("done\n", 0)


async def test_a_half_close_leaves_the_other_half_open(alice: Contractor) -> None:
    """The end of stdin reaches the program, and what it says after that still comes."""
    done = await alice.jump("cat; echo done", stdin=b"last words\n")
    assert (done.out, done.status) == ("last words\ndone\n", 0)


async def test_stdin_that_is_not_read_does_not_hang(alice: Contractor) -> None:
    """A program that closes its stdin or ends early takes the session with it."""
    done = await alice.jump("exec <&-; echo on; exit 3", stdin=bytes(8 * MIB))
    assert (done.out, done.status) == ("on\n", 3)


async def test_a_dialogue_is_not_held_back(alice: Contractor) -> None:
    """Each line comes back before the next is sent."""
    async with alice.jumping("while read line; do echo got $line; done") as going:
        for number in range(20):
            await going.send(f"{number}\n")
            await going.stdout.expect(f"got {number}\n")
        going.close_stdin()
        assert await going.wait() == 0


async def test_a_shell_may_be_fed_by_a_pipe(alice: Contractor) -> None:
    """Without a terminal and without a command it is a shell that reads its stdin."""
    done = await alice.jump(options=("-T",), stdin=b"echo one\necho two >&2\nexit 9\n")
    assert (done.out, done.err, done.status) == ("one\n", "two\n", 9)


# Other ways to jump


async def test_w_gives_the_hop_itself(alice: Contractor) -> None:
    """`ssh -W` carries the inner SSH connection on stdin and stdout."""
    async with alice.start("-W", f"{HOST}:22", "bastion") as going:
        await going.stdout.expect(r"SSH-2\.0-[^\r\n]+\r\n")


async def test_a_proxy_command_works_as_j_does(alice: Contractor) -> None:
    """`ProxyCommand ssh -W %h:%p bastion`, as old configurations have it."""
    done = await alice.ssh(*proxied(alice), f"{alice.login}@{HOST}", "cat; exit 4", stdin=b"x")
    assert (done.out, done.status) == ("x", 4)


async def test_the_port_of_the_target_may_be_said(alice: Contractor, sshd_port: int) -> None:
    """The port that the inventory has, or 22, which is what a bare `-J` sends."""
    done = await alice.jump("echo in", options=("-p", str(sshd_port)))
    assert done.out == "in\n", done.err


async def test_names_ignore_case_and_aliases_count(alice: Contractor) -> None:
    """`PROD-Host` is `prod-host`, and an alias of it leads there too."""
    for name in ("PROD-Host", "prod-alias"):
        done = await alice.jump("echo in", host=name)
        assert done.out == "in\n", done.err


async def test_many_channels_share_one_connection(alice: Contractor, short: Path) -> None:
    """Under ControlMaster a dozen commands at once each get their own answer."""
    async with multiplexed(alice, short) as through:
        texts = [f"number {number}" for number in range(12)]
        ways = (through("read line; echo $line", stdin=f"{text}\n".encode()) for text in texts)
        answers = await asyncio.gather(*ways)
    assert [answer.out.strip() for answer in answers] == texts


async def test_an_outer_master_carries_many_jumps(alice: Contractor, short: Path) -> None:
    """Several targets' connections through one connection to the bastion."""
    outer = ("-o", f"ControlPath={short}/outer")
    async with alice.start(*outer, "-M", "-N", "-v", "bastion") as master:
        await master.stderr.expect("Entering interactive session")
        through = f"ssh -F {alice.config} -o ControlPath={short}/outer -W %h:%p bastion"
        ways = (
            alice.ssh("-o", f"ProxyCommand={through}", f"{alice.login}@{HOST}", f"echo {number}")
            for number in range(4)
        )
        answers = await asyncio.gather(*ways)
    assert [answer.out for answer in answers] == [f"{number}\n" for number in range(4)]


# Signals and other requests, by a client that can send them


async def test_a_signal_request_reaches_the_program(alice: Contractor) -> None:
    """As `ssh` can't send one, asyncssh does; the second proof is asked of it and given."""
    async with by_asyncssh(alice) as connection:
        process = await connection.create_process("trap 'echo usr1; exit 9' USR1; echo on; cat")
        assert await process.stdout.readline() == "on\n"
        process.send_signal("USR1")
        process.stdin.write_eof()
        assert await process.stdout.readline() == "usr1\n"
        await process.wait_closed()
        assert process.exit_status == 9


async def test_a_death_by_signal_has_its_name(alice: Contractor) -> None:
    """The exit-signal message is the target's."""
    async with by_asyncssh(alice) as connection:
        done = await connection.run("kill -KILL $$")
        assert done.exit_signal is not None
        assert done.exit_signal[0] == "KILL"


# Programs of their own


async def test_git_works_over_the_jump(alice: Contractor, tmp_path: Path) -> None:
    """A program that speaks over exec on its own: a clone from the target."""
    made = await alice.jump(
        "rm -rf e2e.git && git init -q e2e.git && cd e2e.git && git config user.email a@b && "
        "git config user.name a && echo content > file && git add file && git commit -q -m one"
    )
    assert made.status == 0, made.err
    alice.env["GIT_SSH_COMMAND"] = f"ssh -F {alice.config} -J bastion"
    try:
        place = f"{alice.login}@{HOST}:e2e.git"
        cloned = await alice.run("git", "clone", "-q", place, str(tmp_path / "clone"))
    finally:
        del alice.env["GIT_SSH_COMMAND"]
        await alice.jump("rm -rf e2e.git")
    assert cloned.status == 0, cloned.err
    assert (tmp_path / "clone" / "file").exists()


async def test_compression_may_be_asked_for(alice: Contractor) -> None:
    """`-C` works, or is not agreed upon; it never breaks."""
    done = await alice.jump("cat", options=("-C",), stdin=b"a" * MIB)
    assert done.stdout == b"a" * MIB


# Means


@asynccontextmanager
async def by_asyncssh(alice: Contractor) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """The same jump by another client, which sends a real originator."""
    known = alice.known_hosts.read_bytes()
    keys = [(str(alice.key), str(alice.certificate))]
    async with (
        asyncssh.connect(
            "127.0.0.1",
            alice.bastion.port,
            username=alice.name,
            client_keys=keys,
            agent_path=None,
            known_hosts=known,
            config=None,
        ) as outer,
        outer.connect_ssh(
            HOST,
            username=alice.login,
            client_keys=[str(alice.key)],
            agent_path=None,
            known_hosts=known,
            config=None,
        ) as inner,
    ):
        yield inner


def proxied(alice: Contractor, *options: str) -> tuple[str, ...]:
    """The jump as a ProxyCommand."""
    through = " ".join(("ssh", "-F", str(alice.config), *options, "-W", "%h:%p", "bastion"))
    return ("-o", f"ProxyCommand={through}")
