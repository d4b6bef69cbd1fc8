"""One `scp -O`, fed with bytes: a source or a sink, between a client and a target. Sans-IO."""

from collections.abc import Callable

from bastion.errors import BadInput
from bastion.scp.client import Client, Gone, Step
from bastion.scp.command import ScpRun, Way
from bastion.scp.remote import Remote
from bastion.scp.sink import Sink
from bastion.scp.source import Source
from bastion.sftp import Output, Proxy

FAILED = 1
"""The exit status of an scp that has not done all."""


class Scp:
    """The run of scp that the client believes to be on the target; `proxy` judges its files."""

    def __init__(self, run: ScpRun, proxy: Proxy):
        self._client = Client()
        self._remote = Remote(proxy)
        kind = Source if run.way is Way.SOURCE else Sink
        self._work: Step[bool] | None = kind(run, self._client, self._remote).run()
        self._fault: str | None = None
        self._begun = False
        self.exit_status: int | None = FAILED

    @property
    def holding(self) -> bool:
        """Whether no more should be read from the client for now."""
        return self._client.holding or self._remote.holding

    def begin(self) -> Output:
        """What to do before anything has come: a sink speaks first. It may have come, though."""
        return self._went_on()

    def from_client(self, data: bytes) -> Output:
        """What to do about bytes of the client."""
        self._client.feed(data)
        return self._went_on()

    def from_target(self, data: bytes) -> Output:
        """What to do about bytes of the target."""
        self._remote.heard(data)
        return self._went_on()

    def client_eof(self) -> Output:
        """What to do when the client sends no more."""
        self._client.end()
        return self._went_on()

    def ended(self, why: str) -> Output:
        """What is left to keep when one side is gone."""
        self._work = None
        self._remote.ended(why)
        return self._remote.taken()

    def wake_by(self, wake: Callable[[], None]) -> None:
        """Call `wake` when `resumed` has something to say."""
        self._remote.wake_by(wake)

    def resumed(self) -> Output:
        """What to do now that its turn among other sessions has come, or is over."""
        self._remote.resumed()
        return self._went_on()

    def _went_on(self) -> Output:
        if not self._begun:
            self._begun = True
            self._remote.begin()
        if self._work is not None:
            self._step(self._work)
        out = self._remote.taken()
        out.to_client = self._client.taken()
        out.fault = out.fault or self._fault
        return out

    def _step(self, work: Step[bool]) -> None:
        try:
            next(work)
        except StopIteration as over:
            self._over(done=over.value)
        except Gone:
            self._over(done=False)
        except BadInput as error:
            self._work = None
            self._fault = str(error)

    def _over(self, *, done: bool) -> None:
        """Nothing more is asked of the target: it ends, and so does the session."""
        self._work = None
        self.exit_status = 0 if done and not self._client.errors else FAILED
        self._remote.end()
