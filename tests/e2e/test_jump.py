"""`ssh -J bastion LOGIN@prod-host` with a stock client and a real sshd: as if nothing were between.

Every test runs against the one bastion of the session; what it leaves running, it ends.
"""

import asyncio
import hashlib
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import asyncssh
import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.watching import Result, Running

MIB = 2**20
BULK = int(os.environ.get("BASTION_TEST_BULK_MIB", "64")) * MIB
BULK_PATIENCE = 15 + BULK / (4 * MIB)
ENDS_AT_ONCE = 15.0
"""Seconds within which a jump that can't be made has to be over."""


def random_bytes(size: int) -> bytes:
    """Bytes that no compression and no text mode would leave as they are."""
    return os.urandom(min(size, MIB)) * (size // min(size, MIB))


# Commands


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


async def test_a_stalled_target_costs_no_memory(alice: Contractor, bastion: Bastion) -> None:
    """A program that does not read slows the client down; all of it arrives when it does."""
    before = bastion.resident
    flood = bytes(64 * MIB)
    async with (
        alice.jumping("echo on; sleep 2; exec wc -c") as going,
        asyncio.TaskGroup() as group,
    ):
        await going.stdout.expect("on\n")
        sending = group.create_task(going.send(flood))
        await idle(bastion.pid)
        assert bastion.resident - before < 48 * MIB
        assert not sending.done()
        await sending
        going.close_stdin()
        await going.stdout.expect(f"{len(flood)}\n")
        assert await going.wait() == 0


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


# Terminals


async def test_a_shell_begins_with_its_recording_and_ends_with_its_status(
    alice: Contractor,
) -> None:
    """The first line says what is recorded and until when; then it is the target's shell."""
    async with alice.jump_terminal() as terminal:
        await terminal.expect(r"bastion: recorded as S-\d+, G-\d+ until [^\r\n]+ UTC\r\n")
        await terminal.expect(r"\$ ")
        terminal.send("echo $((6 * 7)); exit 5\r")
        await terminal.expect("42\r\n")
        assert await terminal.wait() == 5


async def test_a_terminal_has_the_size_and_the_kind_of_the_clients(alice: Contractor) -> None:
    """TERM and the window arrive, and a change of the window does too."""
    async with alice.jump_terminal(size=(91, 17)) as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("echo $TERM; stty size\r")
        await terminal.expect("xterm-256color\r\n17 91\r\n")
        watch = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done"
        terminal.send(f'exec sh -c "{watch}"\r')
        await terminal.expect("\rready\r\n")
        terminal.resize(132, 43)
        await terminal.expect("43 132\r\n")


async def test_terminal_modes_arrive(alice: Contractor) -> None:
    """The client's erase character is the target's."""
    async with alice.jump_terminal("stty -a", options=("-t",)) as terminal:
        await terminal.expect(r"erase = \^\?")


async def test_control_c_interrupts_what_runs_there(alice: Contractor) -> None:
    """It is a character to the relay, and a signal to the program in front."""
    async with alice.jump_terminal() as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("sh -c 'echo o\"\"n; exec sleep 600'\r")
        await terminal.expect("on\r\n")
        terminal.send("\x03")
        await terminal.expect(r"\^C.*\$ ")
        terminal.send("exit $(($? - 100))\r")
        assert await terminal.wait() == 30


async def test_a_break_does_not_disturb(alice: Contractor) -> None:
    """`~B` goes to the target, where a pseudo-terminal has no line to send it on."""
    async with alice.jump_terminal() as terminal:
        await terminal.expect(r"\$ ")
        terminal.send("\r~B")
        terminal.send("echo st''ill\r")
        await terminal.expect("still\r\n")


async def test_a_terminal_can_be_asked_for_with_a_command(alice: Contractor) -> None:
    """`-t`: stderr is the terminal too, and no line of ours comes before a command's output."""
    command = "tty; echo err >&2; exit 6"
    async with alice.jump_terminal(command, options=("-q", "-t")) as terminal:
        assert re.fullmatch(r"/dev/pts/\d+\r\nerr\r\n", await terminal.end())
        assert await terminal.wait() == 6


async def test_hanging_up_ends_the_session(alice: Contractor, bastion: Bastion) -> None:
    """`~.` closes the connection; the bastion records the end within a moment."""
    async with alice.jump_terminal() as terminal:
        match = await terminal.expect(r"recorded as (S-\d+)")
        session = match[1].decode()
        await terminal.expect(r"\$ ")
        terminal.send("\r~.")
        assert await terminal.wait() == 255
    assert (await ended(bastion, session))["end_reason"] == "closed"


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


# What is refused inside


async def test_no_agent_goes_along(alice: Contractor) -> None:
    """`-A` is refused by the hop: nothing at the target can use the contractor's agent."""
    async with alice.agent(alice.key):
        done = await alice.jump("echo agent=$SSH_AUTH_SOCK", options=("-A",))
    assert (done.out, done.status) == ("agent=\n", 0)


async def test_no_x11_goes_along(alice: Contractor) -> None:
    """`-Y` is refused; the client says so, and the command runs."""
    alice.env["DISPLAY"] = "127.0.0.1:99"
    try:
        done = await alice.jump("echo display=$DISPLAY", options=("-Y",))
    finally:
        del alice.env["DISPLAY"]
    assert (done.out, done.status) == ("display=\n", 0)
    assert "X11 forwarding request failed" in done.err


async def test_a_local_forward_is_refused(alice: Contractor, free_port: int) -> None:
    """`-L`: the local port opens, the channel behind it does not, and the client says why."""
    forward = f"127.0.0.1:{free_port}:127.0.0.1:22"
    async with alice.jumping(options=("-N", "-v", "-L", forward)) as going:
        await established(going)
        assert await asyncio.to_thread(first_bytes, free_port) == b""
        await going.stderr.expect("open failed: administratively prohibited: bastion: forwards")


async def test_a_dynamic_forward_is_refused(alice: Contractor, free_port: int) -> None:
    """`-D`: as with `-L`."""
    async with alice.jumping(options=("-N", "-v", "-D", f"127.0.0.1:{free_port}")) as going:
        await established(going)
        greeting = b"\x05\x01\x00", b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16"
        assert b"SSH-" not in await asyncio.to_thread(first_bytes, free_port, *greeting)
        await going.stderr.expect("open failed: administratively prohibited: bastion: forwards")


async def test_a_remote_forward_is_refused(alice: Contractor, free_port: int) -> None:
    """`-R`: the request fails, and `ExitOnForwardFailure` ends the client."""
    forward = ("-R", f"127.0.0.1:{free_port}:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes")
    done = await alice.jump("true", options=forward)
    assert done.status == 255
    assert "remote port forwarding failed" in done.err


async def test_a_forward_by_w_within_the_hop_is_refused(alice: Contractor) -> None:
    """`-W` to somewhere behind the target."""
    done = await alice.jump(options=("-W", "127.0.0.1:22"))
    assert done.status == 255
    assert "administratively prohibited: bastion: forwards are not granted" in done.err


async def test_a_subsystem_is_refused_with_a_sentence(alice: Contractor) -> None:
    """`-s sftp`: a line of ours on stderr, and the status of a refusal."""
    done = await alice.jump("sftp", options=("-s",))
    assert done.status == 254
    assert done.stdout == b""
    assert re.search(r"^bastion: .*sftp.*\.\r?$", done.err, re.M)


@pytest.mark.parametrize("program", ["sftp", "scp"])
async def test_copying_files_is_refused_with_a_sentence(
    alice: Contractor, program: str, tmp_path: Path
) -> None:
    """The stock programs end, and show our line."""
    place = f"{alice.login}@{HOST}:/etc/hostname"
    line = ("-F", str(alice.config), "-o", "ProxyJump=bastion", place, str(tmp_path / "copy"))
    done = await alice.run(program, *line)
    assert done.status != 0
    assert "bastion: " in done.err
    assert not (tmp_path / "copy").exists()


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


# Bulk


async def test_bulk_goes_both_ways_byte_for_byte(alice: Contractor) -> None:
    """What is sent comes back unchanged, both ways at once (BASTION_TEST_BULK_MIB for more)."""
    sent = random_bytes(BULK)
    done = await alice.jump("cat", stdin=sent, patience=BULK_PATIENCE)
    assert (len(done.stdout), done.status) == (len(sent), 0)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(sent).digest()


async def test_keys_are_exchanged_anew_in_the_middle(alice: Contractor) -> None:
    """Both connections rekey again and again while much goes both ways."""
    sent = random_bytes(64 * MIB)
    limit = ("-o", "RekeyLimit=1M")
    through = " ".join(("ssh", "-F", str(alice.config), *limit, "-W", "%h:%p", "bastion"))
    line = (*limit, "-v", "-o", f"ProxyCommand={through}", f"{alice.login}@{HOST}", "cat")
    done = await alice.ssh(*line, stdin=sent, patience=BULK_PATIENCE)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(sent).digest()
    assert done.err.count("SSH2_MSG_NEWKEYS received") > 40


async def test_a_stalled_reader_costs_no_memory(alice: Contractor, bastion: Bastion) -> None:
    """A client that takes nothing slows the target down; all of it comes when it reads again."""
    before = bastion.resident
    flood = 96 * MIB
    async with alice.stalled(f"head -c {flood} /dev/zero") as stalled, asyncio.timeout(60):
        got = len(await stalled.read(1))
        await idle(bastion.pid)
        assert bastion.resident - before < 48 * MIB
        while data := await stalled.read():
            got += len(data)
        assert (got, await stalled.wait()) == (flood, 0)


# What can't be reached


async def test_a_target_that_is_not_there(alice: Contractor) -> None:
    """Nobody listens: one sentence, at once."""
    await hears(alice, "dead-host", r"bastion: dead-host can't be reached: Connection refused\.")


async def test_a_target_that_does_not_answer(alice: Contractor, silent_host: str) -> None:
    """Somebody listens and says nothing: one sentence, when the connect timeout is over."""
    await hears(alice, silent_host, rf"bastion: {silent_host} did not answer in time\.")


async def test_a_target_with_another_host_key(alice: Contractor) -> None:
    """The pinned key is not the one that is shown: nothing is sent there."""
    await hears(alice, "changed-host", r"bastion: changed-host does not show the host key .*")


async def test_a_target_that_does_not_let_the_login_in(alice: Contractor) -> None:
    """The account that was granted does not exist there."""
    done = await alice.ssh("-J", "bastion", f"ghost@{HOST}", "true", patience=ENDS_AT_ONCE)
    assert done.status == 254
    assert re.fullmatch(rf"bastion: {HOST} did not let ghost in: .*\.\r?\n", done.err)


async def test_a_terminal_hears_the_same_sentence(alice: Contractor) -> None:
    """On a terminal it is a line of the terminal."""
    async with alice.terminal("-J", "bastion", f"{alice.login}@dead-host") as terminal:
        await terminal.expect(r"bastion: dead-host can't be reached: Connection refused\.\r\n")
        assert await terminal.wait() == 254


async def hears(alice: Contractor, host: str, sentence: str) -> None:
    """A jump to `host` ends at once with one `sentence` on stderr, and the status of a refusal."""
    done = await alice.jump("true", host=host, patience=ENDS_AT_ONCE)
    assert (done.status, done.stdout) == (254, b"")
    assert re.fullmatch(rf"{sentence}\r?\n", done.err), done.err


# Means


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port: int = listening.getsockname()[1]
    return port


@asynccontextmanager
async def multiplexed(alice: Contractor, place: Path) -> AsyncIterator["Through"]:
    """One master connection to the target, and a way to run commands through it."""
    path = ("-o", f"ControlPath={place}/inner")
    async with alice.jumping(options=(*path, "-M", "-N", "-v")) as master:
        await established(master)
        yield Through(alice, path)
        await alice.jump(options=(*path, "-O", "exit"))
        await master.wait()


class Through:
    """Runs commands on a master connection."""

    def __init__(self, alice: Contractor, path: tuple[str, ...]) -> None:
        self._alice = alice
        self._path = path

    async def __call__(self, command: str, stdin: bytes = b"") -> Result:
        """One command, as a channel of its own."""
        return await self._alice.jump(command, options=self._path, stdin=stdin)


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


async def established(jump: Running) -> None:
    """Waits for the inner connection, and its local listeners, of a client that says `-v`."""
    await jump.stderr.expect(f"Authenticated to {HOST}.*Entering interactive session")


def proxied(alice: Contractor, *options: str) -> tuple[str, ...]:
    """The jump as a ProxyCommand."""
    through = " ".join(("ssh", "-F", str(alice.config), *options, "-W", "%h:%p", "bastion"))
    return ("-o", f"ProxyCommand={through}")


def first_bytes(port: int, *sent: bytes) -> bytes:
    """What comes from a local port, until it is closed. Blocks for at most five seconds."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=5)) as way:
        got = b""
        for data in sent:
            way.sendall(data)
        try:
            while data := way.recv(4096):
                got += data
        except ConnectionResetError:
            pass
        return got


async def idle(pid: int) -> None:
    """Watches until a process uses no processor time any more."""
    used, calm = -1, 0
    while calm < 5:
        await asyncio.sleep(0.05)
        now = cpu_ticks(pid)
        used, calm = now, calm + 1 if now - used <= 0 else 0


def cpu_ticks(pid: int) -> int:
    """The processor time that a process has used, in clock ticks (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def ended(bastion: Bastion, session: str) -> dict[str, object]:
    """The row of a session, once it has an end."""
    async with asyncio.timeout(10):
        while True:
            rows = await bastion.rows("sessions")
            for row in rows:
                if row["id"] == session and row["ended_at"]:
                    return row
