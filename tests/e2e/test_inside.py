"""What is refused within a jump: agent, X11, forwards, subsystems. The rest of it goes on."""

import asyncio
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.contractor import HOST, Contractor, established


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
        await going.stderr.expect(
            "open failed: administratively prohibited: bastion: that forward is not"
        )


async def test_a_dynamic_forward_is_refused(alice: Contractor, free_port: int) -> None:
    """`-D`: as with `-L`."""
    async with alice.jumping(options=("-N", "-v", "-D", f"127.0.0.1:{free_port}")) as going:
        await established(going)
        greeting = b"\x05\x01\x00", b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16"
        assert b"SSH-" not in await asyncio.to_thread(first_bytes, free_port, *greeting)
        await going.stderr.expect(
            "open failed: administratively prohibited: bastion: that forward is not"
        )


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
    assert "administratively prohibited: bastion: that forward is not granted" in done.err


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
