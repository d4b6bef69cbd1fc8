"""What asyncssh logs: warnings are heard, and nothing is put together for nobody."""

import logging

import pytest
from asyncssh.logging import SSHLogger

from bastion.wire.quiet import Listened


class Dear:
    """A word that counts how often it is written out."""

    written = 0

    def __str__(self) -> str:
        self.written += 1
        return "dear"


def test_only_what_is_heard_is_put_together(caplog: pytest.LogCaptureFixture) -> None:
    """At the level that is kept; with the context of the connection, also of its channels."""
    caplog.set_level(logging.WARNING, "asyncssh")
    word = Dear()
    log = Listened.instead(SSHLogger(context="conn=7"))
    channel = log.get_child(context="chan=0")
    channel.info("a %s", [word])
    channel.debug1("a %s", [word])
    assert word.written == 0
    channel.warning("a %s", [word])
    assert [record.getMessage() for record in caplog.records] == ["[conn=7, chan=0] a dear"]
