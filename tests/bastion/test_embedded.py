"""The embedded target, as a client of asyncssh and a stock OpenSSH client see it."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest
import uvloop

from bastion import embedded

CA = asyncssh.generate_private_key("ssh-ed25519")
KEY = asyncssh.generate_private_key("ssh-ed25519")
ALL_BYTES = bytes(range(256))


def certificate(
    principals: tuple[str, ...] = ("deploy",),
    *,
    ca: asyncssh.SSHKey = CA,
    valid: tuple[str, str] = ("-1m", "+1m"),
    force_command: str | None = None,
    pty: bool = True,
) -> asyncssh.SSHCertificate:
    """A user certificate for KEY: for `deploy`, by the CA and live, unless told otherwise."""
    return ca.generate_user_certificate(
        KEY,
        "test",
        principals=principals,
        valid_after=valid[0],
        valid_before=valid[1],
        force_command=force_command,
        permit_pty=pty,
    )


@asynccontextmanager
async def listening() -> AsyncIterator[embedded.Target]:
    """A target that listens, with two logins."""
    ca_line = CA.export_public_key("openssh").decode()
    key = embedded.new_host_key()
    async with embedded.target(key, ca_line, logins={"deploy", "prod"}) as target:
        yield target


@pytest.fixture
async def target() -> AsyncIterator[embedded.Target]:
    """The target of one test."""
    async with listening() as target:
        yield target


@asynccontextmanager
async def signed_in(
    target: embedded.Target, signed: asyncssh.SSHCertificate | None = None, login: str = "deploy"
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A client that pins the target's host key; `signed` None shows the bare key."""
    pinned = f"[127.0.0.1]:{target.port} {target.host_key_line}\n".encode()
    key = KEY if signed is None else (KEY, signed)
    async with asyncssh.connect(
        "127.0.0.1",
        target.port,
        username=login,
        client_keys=[key],
        agent_path=None,
        known_hosts=pinned,
        config=None,
    ) as connection:
        yield connection


@pytest.fixture
async def connection(target: embedded.Target) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A client that is in."""
    async with signed_in(target, certificate()) as connection:
        yield connection


async def gone(pid: int) -> None:
    """Watches until the process `pid` has ended."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(watched, ended.set)
    try:
        async with asyncio.timeout(10):
            await ended.wait()
    finally:
        loop.remove_reader(watched)
        os.close(watched)


async def test_a_command_answers_with_output_errors_and_status(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """stdout and stderr stay apart, and the exit status comes back."""
    done = await connection.run("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.exit_status) == ("out\n", "err\n", 7)


async def test_programs_run_as_the_user_who_started_the_target(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """Whatever login was asked for, there is one OS user behind it, at home."""
    done = await connection.run("id -u; pwd")
    assert str(done.stdout).split() == [str(os.getuid()), os.environ.get("HOME", "/")]


async def test_a_program_gets_a_small_environment(
    connection: asyncssh.SSHClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the process that runs the target leaks, and nothing of the client's comes in."""
    monkeypatch.setenv("BASTION_HOME", "/secret")
    done = await connection.run("env", env={"LD_PRELOAD": "x"})
    assert "BASTION_HOME" not in str(done.stdout)
    assert "LD_PRELOAD" not in str(done.stdout)
    assert "TERM=" not in str(done.stdout)


async def test_bytes_go_both_ways_unchanged(connection: asyncssh.SSHClientConnection) -> None:
    """Every byte value, and more of them than pipes and windows hold."""
    sent = ALL_BYTES * 16384
    done = await connection.run("cat", input=sent, encoding=None)
    assert done.stdout == sent


async def test_the_end_of_stdin_reaches_the_program(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """A half-closed channel goes on in the other direction."""
    done = await connection.run("cat; echo done", input="last words\n")
    assert done.stdout == "last words\ndone\n"


async def test_a_program_that_reads_no_stdin_still_ends(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """What nobody reads is let go when the program ends."""
    process = await connection.create_process("exec <&-; echo on; exit 3", encoding=None)
    process.stdin.write(ALL_BYTES * 4096)
    assert await process.stdout.read() == b"on\n"
    await process.wait_closed()
    assert process.exit_status == 3


async def test_death_by_signal_is_told(connection: asyncssh.SSHClientConnection) -> None:
    """The exit signal comes back by its name."""
    done = await connection.run("kill -TERM $$")
    assert done.exit_signal is not None
    assert done.exit_signal[0] == "TERM"


async def test_a_signal_reaches_the_program_and_its_children(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """A signal request goes to the whole group; an unknown name to nobody."""
    process = await connection.create_process("sleep 60 & echo $!; wait; echo woken")
    child = int(await process.stdout.readline())
    process.send_signal("NONSENSE")
    process.send_signal("INT")
    process.send_signal("TERM")
    await process.wait_closed()
    assert process.exit_signal is not None
    await gone(child)


async def test_a_terminal_is_a_real_one(connection: asyncssh.SSHClientConnection) -> None:
    """It controls its session, has the size asked for, and changes it when the client does."""
    process = await connection.create_process(
        "tty; stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.02; done",
        term_type="vt220",
        term_size=(91, 17),
    )
    assert str(await process.stdout.readline()).startswith("/dev/pts/")
    assert await process.stdout.readline() == "17 91\r\n"
    assert await process.stdout.readline() == "ready\r\n"
    process.change_terminal_size(120, 33)
    assert await process.stdout.readline() == "33 120\r\n"
    await process.wait_closed()
    assert process.exit_status == 4


async def test_a_shell_is_a_login_shell(
    connection: asyncssh.SSHClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a command it is `-sh`, which reads stdin as any shell does."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    done = await connection.run(input="echo $0 $TERM\nexit 5\n")
    assert (str(done.stdout).strip(), done.exit_status) == ("-sh", 5)


async def test_a_shell_on_a_terminal_obeys_control_characters(
    connection: asyncssh.SSHClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """^C interrupts what runs in front, ^D ends the shell, and both come over the terminal."""
    monkeypatch.setenv("SHELL", "/bin/sh")
    async with connection.create_process(term_type="xterm") as process:
        process.stdin.write("sh -c 'echo $TERM; exec sleep 60' || echo interrupted\n")
        await process.stdout.readuntil("xterm\r\n")
        process.stdin.write("\x03")
        await process.stdout.readuntil("^C")
        process.stdin.write("echo still $((1 + 1))\n")
        await process.stdout.readuntil("still 2\r\n")
        process.stdin.write("\x04")
        await process.stdout.read()
    assert process.exit_status is not None


async def test_a_break_is_taken_with_a_terminal_only(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """A break does no harm: on a pseudo-terminal there is no line to send it on."""
    process = await connection.create_process(
        "echo on; read line; echo got $line", term_type="vt220"
    )
    await process.stdout.readuntil("on\r\n")
    process.send_break(100)
    process.stdin.write("x\n")
    await process.stdout.readuntil("got x\r\n")
    await process.wait_closed()
    assert process.exit_status == 0


async def test_a_missing_shell_is_a_sentence(
    connection: asyncssh.SSHClientConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that can't be started gives status 127 and a line, and the connection stays."""
    monkeypatch.setenv("SHELL", "/nonexistent/shell")
    done = await connection.run("true")
    assert (done.exit_status, done.stderr) == (
        127,
        "/nonexistent/shell: No such file or directory\n",
    )
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert (await connection.run("true")).exit_status == 0


async def test_force_command_replaces_what_was_asked_for(target: embedded.Target) -> None:
    """Exec, shell and subsystem all become the certificate's command."""
    async with signed_in(target, certificate(force_command="echo forced")) as connection:
        asked = await connection.run("echo asked")
        shell = await connection.run()
        subsystem = await connection.run(subsystem="sftp")
        assert [asked.stdout, shell.stdout, subsystem.stdout] == ["forced\n"] * 3


async def test_a_certificate_without_permit_pty_gets_no_terminal(target: embedded.Target) -> None:
    """The request is refused; without a terminal the command runs."""
    async with signed_in(target, certificate(pty=False)) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("true", term_type="vt220")
        assert (await connection.run("true")).exit_status == 0


STRANGE = {
    "a bare key": (None, "deploy"),
    "another CA's": (
        certificate(ca=asyncssh.generate_private_key("ssh-ed25519")),
        "deploy",
    ),
    "past": (certificate(valid=("-2h", "-1h")), "deploy"),
    "not begun": (certificate(valid=("+1h", "+2h")), "deploy"),
    "another principal": (certificate(("alice",)), "deploy"),
    "no principal": (certificate(()), "deploy"),
    "an unknown login": (certificate(("root",)), "root"),
    "another login's": (certificate(("prod",)), "deploy"),
}


@pytest.mark.parametrize(("signed", "login"), STRANGE.values(), ids=STRANGE.keys())
async def test_strangers_stay_outside(
    target: embedded.Target, signed: asyncssh.SSHCertificate | None, login: str
) -> None:
    """Only a live certificate of the one CA that names the login signs in."""
    with pytest.raises(asyncssh.PermissionDenied):
        async with signed_in(target, signed, login):
            pass


async def test_every_login_of_the_set_signs_in(target: embedded.Target) -> None:
    """Several logins stand for the same OS user; a certificate may name more than one."""
    both = certificate(("deploy", "prod"))
    for login in ("deploy", "prod"):
        async with signed_in(target, both, login) as connection:
            assert (await connection.run("true")).exit_status == 0


async def test_nothing_but_programs_is_to_be_had(
    target: embedded.Target, connection: asyncssh.SSHClientConnection
) -> None:
    """Forwards both ways, unix sockets and sftp are refused; the connection stays."""
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_connection("127.0.0.1", target.port)
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.open_unix_connection("/run/nothing")
    with pytest.raises(asyncssh.ChannelListenError):
        await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", target.port)
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.start_sftp_client()
    assert (await connection.run("true")).exit_status == 0


async def test_a_program_ends_with_its_connection(
    target: embedded.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that ignores SIGHUP: it is killed after a grace, with what it started."""
    monkeypatch.setattr(embedded, "GRACE_SECONDS", 0.1)
    async with signed_in(target, certificate()) as connection:
        process = await connection.create_process("trap '' HUP; sleep 600 & echo $! $$; wait")
        pids = [int(word) for word in str(await process.stdout.readline()).split()]
        connection.abort()
    for pid in pids:
        await gone(pid)


async def test_leaving_ends_every_program() -> None:
    """When the target is left, no process of its programs is there any more."""
    async with listening() as target, signed_in(target, certificate()) as connection:
        process = await connection.create_process("echo $$; exec sleep 600")
        pid = int(await process.stdout.readline())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_channels_of_a_connection_are_bounded(
    connection: asyncssh.SSHClientConnection,
) -> None:
    """One more than CHANNELS is refused, and room comes back when one ends."""
    many = [await connection.create_process("cat") for _ in range(embedded.CHANNELS)]
    with pytest.raises(asyncssh.ChannelOpenError):
        await connection.create_process("cat")
    many[0].stdin.write_eof()
    await many[0].wait_closed()
    assert (await connection.run("true")).exit_status == 0


async def test_connections_are_bounded(
    target: embedded.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than CONNECTIONS is closed at once; when one leaves, another comes in."""
    monkeypatch.setattr(embedded, "CONNECTIONS", 1)
    async with signed_in(target, certificate()) as first:
        with pytest.raises((asyncssh.ConnectionLost, ConnectionResetError)):
            async with signed_in(target, certificate()):
                pass
        assert (await first.run("true")).exit_status == 0
    async with signed_in(target, certificate()) as second:
        assert (await second.run("true")).exit_status == 0


async def test_the_callers_exception_stays_as_it_is() -> None:
    """What goes wrong inside the block is not wrapped in a group."""
    with pytest.raises(LookupError):
        async with listening():
            raise LookupError("the caller's")


def test_it_works_on_uvloop_as_well() -> None:
    """Pipes and terminals are joined by the loop: both kinds run on the other loop too."""

    async def transcript() -> None:
        async with listening() as target, signed_in(target, certificate()) as connection:
            piped = await connection.run("cat; exit 6", input=ALL_BYTES * 4096, encoding=None)
            assert (piped.stdout, piped.exit_status) == (ALL_BYTES * 4096, 6)
            shown = await connection.run("tty; stty size", term_type="vt220", term_size=(91, 17))
            assert str(shown.stdout).endswith("17 91\r\n")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(transcript())


async def test_a_stock_client_signs_in_and_runs(target: embedded.Target, tmp_path: Path) -> None:
    """OpenSSH's ssh, with a certificate file, gets output, errors and status."""
    key, signed = tmp_path / "id", tmp_path / "id-cert.pub"
    key.touch(mode=0o600)
    KEY.write_private_key(str(key))
    certificate().write_certificate(str(signed))
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{target.port} {target.host_key_line}\n")
    ssh = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-i", str(key), "-o", f"CertificateFile={signed}"),
        *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}"),
        *("-p", str(target.port), "deploy@127.0.0.1", "cat; echo err >&2; kill -KILL $$"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(10):
        out, err = await ssh.communicate(b"typed")
    assert (out, err, ssh.returncode) == (b"typed", b"err\n", 255)
