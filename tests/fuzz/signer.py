"""What is fuzzed of the signer: both ends of its socket, and what it is asked to sign."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bastion.authority import Which, read_public_key
from bastion.authority.certificates import encoded
from bastion.authority.wire import read_body
from bastion.signing import frames
from bastion.signing.judge import Bench, NotSigned, judged, read_order
from bastion.signing.limits import Limits

CA = read_public_key(
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFNVncKyznpwXFPROKBwpXkLrh+sedvqjzH8ceqMbqAT"
)
LIMITS = 'accounts = ["0"]\nsocket = "/s"\n[target]\nlogins = ["deploy"]\nshell = ["deploy"]\n'
BENCH = Bench(Limits.parse(LIMITS, Path("signer.toml")), CA)
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def signer_request(data: bytes) -> None:
    """What is taken for a request is the same when it is sent again; no other error leaves."""
    try:
        found = frames.read_request(data)
    except ValueError:
        return
    assert frames.read_request(frames.framed(found)[frames.HEAD :]) == found


def signer_answer(data: bytes) -> None:
    """So it is with what comes back."""
    try:
        found = frames.read_answer(data)
    except ValueError:
        return
    assert frames.read_answer(frames.framed(found)[frames.HEAD :]) == found


def signer_body(data: bytes) -> None:
    """A body that is signed is one that our own writer writes, for a login that is allowed."""
    for which in (Which.USER_CA, Which.TARGET_CA, Which.HOST_CA, Which.SEAL):
        try:
            approved = judged(data, which, CA, BENCH, NOW)
        except NotSigned:
            continue
        if which is Which.SEAL:
            assert data.startswith(b"SSHSIG")
            continue
        order = read_order(data, CA)
        assert encoded(order, CA, read_body(data).nonce) == data
        assert approved.principals == order.principals
        if which is Which.TARGET_CA:
            assert order.principals[0] == "deploy"


READERS: tuple[Callable[[bytes], None], ...] = (signer_request, signer_answer, signer_body)
