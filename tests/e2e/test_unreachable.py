"""Targets that can't be reached: each is one sentence, and an end at once; nothing hangs."""

import re

from tests.e2e.contractor import HOST, Contractor

ENDS_AT_ONCE = 15.0
"""Seconds within which a jump that can't be made has to be over."""


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
