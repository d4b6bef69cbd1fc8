"""Sentences of sessions, of their recordings, and of who looks at them. Pure."""

from collections.abc import Mapping
from typing import Final

from bastion.events import Happened, What, named
from bastion.sentences.parts import Words, detail, duration, figure, of, place, texts
from recorder.nouns import counted


def _ran(happened: Happened) -> str:
    kind = texts(happened, "kind") or "session"
    return f"{kind}{detail(happened, 'command', ' of ')}"


def _session_started(happened: Happened) -> str:
    return f"{happened.actor} began S-{happened.session} at {place(happened)}: {_ran(happened)}"


def _session_ended(happened: Happened) -> str:
    status = happened.details.get("exit_status")
    signal = detail(happened, "exit_signal", ", signal ")
    how = happened.why or "closed"
    exited = f", exit status {status}" if isinstance(status, int) else signal
    return f"S-{happened.session} of {happened.actor} at {place(happened)} ended: {how}{exited}"


def _session_killed(happened: Happened) -> str:
    return f"{happened.actor} ended S-{happened.session}{of(happened)}"


def _waiting(happened: Happened) -> str:
    whose = f"S-{happened.session} of {happened.actor} at {place(happened)}"
    return f"{whose} waits for somebody who watches"


def _frozen(happened: Happened) -> str:
    whose = f"S-{happened.session} of {happened.actor} at {place(happened)}"
    return f"nobody watches {whose} any more, so it waits"


def _resumed(happened: Happened) -> str:
    whose = f"S-{happened.session} of {happened.actor} at {place(happened)}"
    by = detail(happened, "watchers", ": watched by ")
    return f"{whose} goes on{duration(happened, ' after ')}{by}"


def _watch_ended(happened: Happened) -> str:
    lasted = duration(happened, ", after ")
    return f"{happened.actor} watches S-{happened.session} no more{lasted}"


def _recording_sealed(happened: Happened) -> str:
    number = figure(happened, "manifest")
    return f"the recording of S-{happened.session}{of(happened)} was sealed: manifest {number}"


def _let_go(happened: Happened) -> str:
    rule = detail(happened, "rule", " (", ")")
    whose = f" of {happened.user}" if happened.user else ""
    return f"{happened.actor} let the recording of S-{happened.session}{whose} go{rule}"


def _held(happened: Happened) -> str:
    return named("S", happened.session) or named("G", happened.grant) or "something"


def _hold_placed(happened: Happened) -> str:
    return f"{happened.actor} put {_held(happened)}{of(happened)} on hold"


def _hold_released(happened: Happened) -> str:
    whose = detail(happened, "placed_by", " that ", " had put")
    return f"{happened.actor} released {_held(happened)}{of(happened)} from the hold{whose}"


def _retention_changed(happened: Happened) -> str:
    rules = detail(happened, "rules", ": ")
    return f"{happened.actor} changed how long recordings are kept{rules}"


def _looked_at(happened: Happened) -> str:
    how = detail(happened, "how", " (", ")")
    return f"{happened.actor} looked at S-{happened.session}{of(happened)}{how}"


def _searched(happened: Happened) -> str:
    count = figure(happened, "hits")
    text = detail(happened, "text", " for ")
    return f"{happened.actor} searched recordings{text}: {counted(count, 'line')}"


def _evidence(verb: str) -> Words:
    def said(happened: Happened) -> str:
        about = named("S", happened.session) or named("G", happened.grant) or "a grant"
        sums = detail(happened, "sha256", ", SHA256SUMS ")
        return f"{happened.actor} {verb} the evidence of {about}{of(happened)}{sums}"

    return said


def _recording_failed(happened: Happened) -> str:
    where = f"{happened.user or happened.actor} at {place(happened)}"
    return f"recording S-{happened.session} of {where} failed, and so it ended"


def _recording_corrupt(happened: Happened) -> str:
    return f"the recording of S-{happened.session}{of(happened)} is not what was sealed"


def _recording_refused(happened: Happened) -> str:
    return f"the recording of S-{happened.session}{of(happened)} can't go into the object store"


def _recording_recovered(happened: Happened) -> str:
    size = counted(figure(happened, "bytes"), "byte")
    return f"the recording of S-{happened.session}{of(happened)} was put together, {size}"


def _recording_returned(happened: Happened) -> str:
    return f"there is another version of the recording of S-{happened.session}{of(happened)}"


SAID: Final[Mapping[What, Words]] = {
    What.SESSION_STARTED: _session_started,
    What.SESSION_ENDED: _session_ended,
    What.SESSION_KILLED: _session_killed,
    What.SESSION_WAITING: _waiting,
    What.SESSION_FROZEN: _frozen,
    What.SESSION_RESUMED: _resumed,
    What.WATCH_ENDED: _watch_ended,
    What.RECORDING_LOOKED_AT: _looked_at,
    What.RECORDING_SEARCHED: _searched,
    What.RECORDING_FAILED: _recording_failed,
    What.RECORDING_SEALED: _recording_sealed,
    What.RECORDING_LET_GO: _let_go,
    What.HOLD_PLACED: _hold_placed,
    What.HOLD_RELEASED: _hold_released,
    What.RETENTION_CHANGED: _retention_changed,
    What.EVIDENCE_ASKED: _evidence("asked for"),
    What.EVIDENCE_PACKED: _evidence("packed"),
    What.RECORDING_CORRUPT: _recording_corrupt,
    What.RECORDING_REFUSED: _recording_refused,
    What.RECORDING_RECOVERED: _recording_recovered,
    What.RECORDING_RETURNED: _recording_returned,
}
"""What says each of these kinds."""
