"""Traces: what is typed in the dark, or piped, is not plain on the disk, and yet not lost.

Seen elsewhere: passwords typed at a prompt end up in the recording; or, the other way, `stty
-echo` and `bash -s < script` leave no trace.
"""

from pathlib import Path

import pytest

from recorder import Session
from recorder.beside import Beside
from recorder.sent_reader import Track
from tests.corpus.world import World

SECRET = "correct horse battery staple"


def told(world: World, session: Session, *, unmask: bool = False) -> list[str]:
    """The timeline that an auditor reads, without its times."""
    reader = world.services.archive.open(session)
    track = Track(reader.sent_path, world.services.home.auditor.read_text())
    return [f"{line.what} {line.text}" for line in Beside(reader, track, unmask=unmask).lines()]


def plain_in(directory: Path) -> list[str]:
    """The files below a directory in which the secret can be read."""
    files = [file for file in directory.rglob("*") if file.is_file()]
    return [file.name for file in files if SECRET.encode() in file.read_bytes()]


GETPASS = "import getpass; print(len(getpass.getpass()))"
PROMPTS = {
    "stty": "stty -echo; printf 'Password: '; read -r x; stty echo; echo; echo ${#x}",
    "getpass": f"python3 -c '{GETPASS}'",
}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
async def test_a_password_at_a_prompt_is_in_no_file(world: World, prompt: str) -> None:
    """Not in the recording, the database or the log; an auditor who asks for it reads it."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        shell = await inner.create_process(prompt, term_type="xterm")
        assert await shell.stdout.readuntil("Password: ")
        shell.stdin.write(f"{SECRET}\r")
        assert str(len(SECRET)) in await shell.stdout.read()
    (session,) = await world.settled()
    assert plain_in(world.services.home.directory) == []
    assert "typed ********\\r (not echoed: masked, a guess)" in told(world, session)
    assert f"typed {SECRET}\\r" in told(world, session, unmask=True)


async def test_a_script_that_is_piped_in_leaves_its_trace(world: World) -> None:
    """`bash -s < script` shows nothing of it; nor does what is typed with echo off."""
    alice = world.contractor()
    script = f"x='{SECRET}'\nexec 2>&1\nexit 7\n"
    async with world.jump(alice) as inner:
        done = await inner.run("bash -s", input=script)
        assert done.exit_status == 7
    (session,) = await world.settled()
    assert plain_in(world.services.home.directory) == []
    assert told(world, session)[1:] == [f"piped {line}\\n" for line in script.splitlines()]
