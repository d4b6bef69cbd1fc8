"""Command templates with the real client and a real sshd: what fits runs, the rest is told."""

import asyncio
from collections.abc import Callable

import pytest

from tests.e2e.bastion import Bastion
from tests.e2e.contractor import Contractor

TEMPLATES = (
    "echo restart {nginx,php-fpm}",
    "head -n {int:1-9} {path:/etc}",
    "{tty} stty size",
    "tty",
)


@pytest.fixture
async def dora(newly_enrolled: Callable[[], Contractor]) -> Contractor:
    """Somebody with four templates, and nothing else."""
    person = await asyncio.to_thread(newly_enrolled)
    await person.granted(*(word for template in TEMPLATES for word in ("--command", template)))
    await person.certified()
    return person


async def test_what_fits_runs(dora: Contractor, bastion: Bastion) -> None:
    """Each of the choices, a number, a path; what is recorded is what was judged."""
    for line, shown in (
        ("echo restart nginx", b"restart nginx\n"),
        ("echo  'restart'   php-fpm", b"restart php-fpm\n"),
    ):
        done = await dora.jump(line)
        assert (done.status, done.stdout) == (0, shown), done.err
    done = await dora.jump("head -n 1 /etc/passwd")
    assert done.stdout.startswith(b"root:")
    rows = await bastion.rows("sessions", "--user", dora.name)
    assert {row["command"] for row in rows} == {
        *("echo restart nginx", "echo restart php-fpm", "head -n 1 /etc/passwd"),
    }


@pytest.mark.parametrize(
    "line",
    [
        *["echo restart mysql", "echo restart", "echo restart nginx php-fpm", "echo stop nginx"],
        *["echo restart '{nginx,php-fpm}'", "head -n 10 /etc/passwd", "head -n 1 /etc/../tmp/x"],
        *["head -n 1 passwd", "head -n -1 /etc/passwd", "head -n 1 /etc", "'{tty}' stty size"],
    ],
)
async def test_what_does_not_fit_is_refused(dora: Contractor, line: str) -> None:
    """With the templates as they are written."""
    done = await dora.jump(line)
    assert (done.status, done.stdout) == (254, b"")
    assert "bastion: that command is not granted here. Granted: " in done.err
    assert "echo restart {nginx,php-fpm}; head -n {int:1-9} {path:/etc}; tty and 1 more" in done.err


async def test_a_terminal_is_for_the_template_that_has_it(
    dora: Contractor, bastion: Bastion
) -> None:
    """`ssh -tt`, to the target's own pseudo-terminal; other lines are refused one."""
    async with dora.jump_terminal("stty size", options=("-tt",), size=(91, 17)) as terminal:
        await terminal.expect("17 91\r\n")
        assert await terminal.wait() == 0
    async with dora.jump_terminal("tty", options=("-tt",)) as terminal:
        await terminal.expect(
            r"bastion: a terminal is not granted with that command.*Leave -t away"
        )
        assert await terminal.wait() == 254
    (row,) = await bastion.rows("sessions", "--user", dora.name)
    shown = await bastion.admin("replay", row["id"], "--speed", "1000")
    assert "17 91" in shown.out


async def test_without_asking_for_a_terminal_there_is_none(dora: Contractor) -> None:
    """Also by a template that may have one."""
    done = await dora.jump("tty")
    assert done.stdout == b"not a tty\n"
    done = await dora.jump("stty size")
    assert (done.status, done.stdout) == (1, b"")


async def test_the_prompt_lists_templates_and_judges_by_them(dora: Contractor) -> None:
    """As they are written, with a word on the braces."""
    script = b"echo restart nginx\necho restart mysql\necho restart {nginx,php-fpm}\ntty\n"
    done = await dora.jump(stdin=script)
    assert done.stdout == b"restart nginx\nnot a tty\n"
    for template in TEMPLATES:
        assert f"\n  {template}\n" in done.err
    assert "bastion: where braces stand, write a word of your choice that fits them." in done.err
    assert "bastion: that command is not granted here." in done.err
    assert "bastion: '{' at character 14 is not taken in a command" in done.err
