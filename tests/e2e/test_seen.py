"""What the bastion says of itself: metrics and health by HTTP, its state to systemd, its log."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.bastion.test_metrics import Samples, read, sample
from tests.e2e.bastion import Bastion, free_port
from tests.e2e.contractor import HOST, Contractor
from tests.e2e.sshd import Sshd
from tests.e2e.test_workers import processes
from tests.e2e.warm import Warm

pytestmark = pytest.mark.timeout(120)


class Seen:
    """A bastion whose metrics can be asked for."""

    def __init__(self, tmp_path: Path, warm: Warm, sshd: Sshd) -> None:
        self.bastion = Bastion(tmp_path / "home", warm)
        self.port = free_port()
        self.bastion.set("metrics", "listen", f"127.0.0.1:{self.port}")
        self.bastion.set("limits", "drain", "1s")
        sshd.trust(self.bastion.admin_now("ca", "show", "target").out)
        pinned = ("--address", sshd.address, "--host-key", str(sshd.host_key_file))
        self.bastion.admin_now("host", "add", HOST, *pinned)

    async def get(self, path: str) -> httpx.Response:
        """As Prometheus asks."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")

    async def samples(self, until: Callable[[Samples], bool]) -> Samples:
        """What is counted, as soon as it is so: a process says it once a second."""
        async with asyncio.timeout(20):
            while not until(found := read((await self.get("/metrics")).text)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return found

    async def healthy(self) -> None:
        """Wait until it is."""
        async with asyncio.timeout(30):
            while (await self.get("/healthz")).text != "ok\n":  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.fixture
def seen(tmp_path: Path, warm: Warm, sshd: Sshd) -> Iterator[Seen]:
    """One that is not started yet."""
    made = Seen(tmp_path, warm, sshd)
    yield made
    made.bastion.stop(patience=30)


@pytest.fixture
def bob(tmp_path: Path, seen: Seen, sshd: Sshd) -> Contractor:
    """Somebody with a shell there."""
    person = Contractor.enrolled(tmp_path / "bob", "bob", seen.bastion, sshd.login)
    person.granted_now()
    return person


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all processes."""
    wanted = labels.items()
    found = ((set(pairs), value) for (each, pairs), value in samples.items() if each == name)
    return sum(value for pairs, value in found if wanted <= pairs)


class Systemd:
    """What NOTIFY_SOCKET leads to, and what it has heard."""

    def __init__(self, place: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(place))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    async def listen(self) -> None:
        """Until cancelled."""
        with self._socket:
            while True:
                said = await asyncio.get_running_loop().sock_recv(self._socket, 1000)
                self.heard.append(said.decode())


async def jumps(seen: Seen, bob: Contractor) -> Samples:
    """One session through, one refused; and the numbers that have both."""
    await seen.healthy()
    await bob.certified()
    assert (await bob.jump("echo hello")).out == "hello\n"
    assert (await bob.jump("echo hello", host="elsewhere")).status == 255
    found = await seen.samples(
        lambda now: (
            total(now, "bastion_door_answers_total", answer="unknown-host") > 0
            and total(now, "bastion_sessions_ended_total") > 0
            and sample(now, "bastion_healthy") == 1
        )
    )
    ended = total(found, "bastion_sessions_ended_total", kind="exec", reason="closed")
    assert ended == total(found, "bastion_sessions_begun_total") == 1
    assert total(found, "bastion_sessions_live") == 0
    assert total(found, "bastion_door_answers_total", door="1", answer="granted") == 1
    assert total(found, "bastion_door_answers_total", door="3", answer="granted") == 1
    assert total(found, "bastion_relayed_bytes_total", direction="shown") == len("hello\n")
    assert total(found, "bastion_target_connect_seconds_count", result="connected") == 1
    assert total(found, "bastion_handshake_seconds_count") == 3
    assert total(found, "bastion_recorder_free_bytes") > 0
    return found


async def test_what_a_jump_leaves_in_the_numbers(
    seen: Seen, bob: Contractor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But no names. Systemd hears READY once, WATCHDOG again and again, and STOPPING."""
    systemd = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(systemd.listen())
        await asyncio.to_thread(seen.bastion.start)
        found = await jumps(seen, bob)
        assert total(found, "bastion_process_ready", process="server") == 1
        said = (await seen.get("/metrics")).text
        assert not [name for name in ("bob", HOST, "elsewhere", "127.0.0.1") if name in said]
        await asyncio.to_thread(seen.bastion.stop, 30)
        async with asyncio.timeout(10):
            while "STOPPING=1" not in systemd.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        listening.cancel()
    assert systemd.heard.count("READY=1") == 1
    assert systemd.heard.count("STATUS=0 live sessions\nWATCHDOG=1") > 2


async def test_workers_that_are_killed_are_seen(seen: Seen, bob: Contractor) -> None:
    """It is not well until they are back; what was counted is there still; the log is JSON."""
    seen.bastion.set("log", "format", "json")
    await asyncio.to_thread(seen.bastion.start, 2)
    assert total(await jumps(seen, bob), "bastion_process_ready") == 3
    for pid in processes(seen.bastion).values():
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while (said := await seen.get("/healthz")).status_code == 200:
            pass
    assert set(said.text.splitlines()) & {"worker 1", "worker 2"}, said.text
    await seen.healthy()
    found = await seen.samples(lambda now: total(now, "bastion_process_starts_total") >= 5)
    assert total(found, "bastion_sessions_ended_total") == 1
    lines = [line for line in seen.bastion.log.splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    assert {each["process"] for each in events} > {"supervisor"}
    assert any(each["event"].startswith("bob signed in") for each in events)
    assert {"timestamp", "level", "logger", "event", "process"} <= set(events[0])
