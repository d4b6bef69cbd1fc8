"""The soak: rounds of mixed load, each followed by a rest at which everything has to be given back.

A round ends for everybody; then no session may be live and no connection open, and what each
process has at that moment is what is judged in the end.
"""

import asyncio
import logging
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from recorder import Session
from recorder.texts import State
from tests.soak import acts, faults, growth, samples, story, visits
from tests.soak.book import outlived
from tests.soak.faults import Losses
from tests.soak.growth import Sample
from tests.soak.scene import PAGE, Scene
from tests.soak.shares import SHARES, Share
from tests.soak.story import Story

DRIVERS: Final = 8
EVERY: Final = 3.0
"""Seconds between two samples under load."""

PATIENCE: Final = 60.0
"""Seconds that anything may take when the load is over."""

ARREARS: Final = 240.0
"""Seconds that the steward may take for what it is behind with: it works half of the time only."""

VERIFYING: Final = 300.0
"""Seconds that all recordings of an hour, some twenty thousand, may take to be verified."""

KEPT: Final = 20
"""Sentences of a kind that are shown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, in seconds, how many rounds, by which dice, of which acts. `calm` are seconds of
    rest before what is there is counted."""

    seconds: float
    rounds: int
    seed: int
    kills: bool
    drivers: int = DRIVERS
    calm: float = 2.0
    shares: Sequence[Share] = SHARES


@dataclass
class Found:
    """What came of it."""

    samples: list[Sample] = field(default_factory=list)
    tried: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    excused: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    losses: Losses = field(default_factory=Losses)
    sessions: int = 0

    def finding(self, sentence: str) -> None:
        """Something was not as it has to be."""
        self.wrong.append(sentence)
        logging.getLogger("soak").error("%s", sentence)


class Soak:
    """One run, in the loop that it is run in."""

    def __init__(self, scene: Scene, plan: Plan, say: Callable[[str], None]) -> None:
        self._scene = scene
        self._plan = plan
        self._say = say
        self._dice = random.Random(plan.seed)  # noqa: S311 the same run again, no secret
        self._begun = time.monotonic()
        self._indexed = 0
        self.found = Found()

    async def run(self) -> Found:
        """All rounds, and what is left to look at after the last."""
        server = await asyncio.start_server(_echo, sock=self._scene.echoes)
        async with server:
            await self._rush()
            self._begun = time.monotonic()
            length = self._plan.seconds / self._plan.rounds
            for number in range(self._plan.rounds):
                if time.monotonic() > self._begun + self._plan.seconds:
                    break  # rests have taken longer than they were to
                await self._round(self._begun + (number + 1) * length - self._plan.calm)
                await self._rest()
                self._say(self._told(number + 1))
            await self._judge()
        return self.found

    async def once(self, some: Sequence[acts.Act]) -> Found:
        """Each of these acts once, one SIGHUP, one rest, and what is left to look at."""
        left = list(some)
        self._dice.shuffle(left)

        async def drive(dice: random.Random) -> None:
            while left:
                await self.try_one(left.pop(), dice)

        async with await asyncio.start_server(_echo, sock=self._scene.echoes):
            async with asyncio.TaskGroup() as group:
                group.create_task(faults.reread(self._scene))
                for _ in range(self._plan.drivers):
                    group.create_task(drive(self._die()))
            await self._rest()
            await self._judge()
        return self.found

    def _told(self, number: int) -> str:
        acts_done = sum(self.found.done.values())
        passed = time.monotonic() - self._begun
        return (
            f"{passed:5.0f} s  round {number} of {self._plan.rounds}: {acts_done} acts, "
            f"{len(self.found.excused)} excused, {len(self.found.wrong)} wrong"
        )

    # Load

    async def _rush(self) -> None:
        """As much at once as there never is later: pools of threads and of connections are full
        from now on, and what comes after that has to be given back."""
        rushes = [acts.rush(self._scene, person) for person in self._scene.people]
        for done in await asyncio.gather(*rushes, return_exceptions=True):
            if isinstance(done, Exception):
                self.found.finding(f"rush: {_sentence(done)}")
        await self._rest()
        self.found.samples.clear()

    async def _round(self, until: float) -> None:
        """Mixed load, for as long as it lasts."""
        seconds = max(1.0, until - time.monotonic())
        until = time.monotonic() + seconds
        losses, kills = self.found.losses, self._plan.kills
        befall = faults.befall(self._scene, losses, self._die(), kills=kills, seconds=seconds)
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sampling())
            going = [group.create_task(self._befalls(befall))]
            going += [
                group.create_task(self._drive(self._die(), until))
                for _ in range(self._plan.drivers)
            ]
            await asyncio.wait(going)
            sampling.cancel()

    def _die(self) -> random.Random:
        return random.Random(self._dice.getrandbits(64))  # noqa: S311 as above

    async def _befalls(self, befall: Coroutine[object, object, None]) -> None:
        try:
            await befall
        except Exception as error:  # noqa: BLE001 whatever it is, it is told
            self.found.finding(f"beside: {_sentence(error)}")

    async def _drive(self, dice: random.Random, until: float) -> None:
        shares = self._plan.shares
        weights = [share.weight for share in shares]
        while time.monotonic() < until:
            (share,) = dice.choices(shares, weights)
            await self.try_one(share.act, dice)

    async def try_one(self, act: acts.Act, dice: random.Random) -> None:
        """One act, and what is to be said of it."""
        name = getattr(act, "__name__", str(act))
        with story.opened() as told:
            try:
                async with asyncio.timeout(PATIENCE):
                    await act(self._scene, dice)
            except Exception as error:  # noqa: BLE001 whatever it is, it is told
                await self._failed(name, error, told)
            else:
                self.found.done[name] += 1

    async def _failed(self, name: str, error: Exception, told: Story) -> None:
        """A process that is lost ends what it carried at once: who waits is not excused by that."""
        excused = self.found.losses.excuse(told.begun, asyncio.get_running_loop().time())
        sentence = f"{name}: {_sentence(error)} [{told.told()}]"
        became = await asyncio.to_thread(self._became, told.tags)
        if became:
            sentence += f" [{'; '.join(became)}]"
        if excused and not isinstance(error, TimeoutError):
            self.found.excused.append(sentence)
        else:
            self.found.finding(sentence)

    def _became(self, tags: Sequence[str]) -> list[str]:
        """What the table has of the sessions of an act, in sentences."""
        some = self._scene.services.index.find(limit=PAGE) if tags else []
        ours = {tag: each for each in some for tag in tags if f": {tag};" in (each.command or "")}
        return [f"{tag} is {_known(ours[tag]) if tag in ours else 'no session'}" for tag in tags]

    async def _sampling(self) -> None:
        while True:
            await self._sample(resting=False)
            await asyncio.sleep(EVERY)

    async def _sample(self, *, resting: bool) -> None:
        scene, at = self._scene, time.monotonic() - self._begun
        taken = await asyncio.to_thread(
            lambda: list(samples.taken(scene.bastion.pid, scene.metrics_port, at, resting=resting))
        )
        self.found.samples += taken

    # Rest

    async def _rest(self) -> None:
        """Until nothing is open any more; then what is still there is counted."""
        await self._until("nothing is live or connected", self._quiet)
        await faults.user_rotated(self._scene)
        await self._until("nothing is live or connected", self._quiet)
        await self._until("everything is sealed", self._all_sealed)
        await self._until("everything is in the text index", self._all_indexed, ARREARS)
        await asyncio.sleep(self._plan.calm)
        await self._sample(resting=True)

    def _quiet(self) -> bool:
        said = samples.metrics(self._scene.metrics_port)
        open_ = ("bastion_sessions_live", "bastion_connections", "bastion_events_waiting")
        return not any(samples.total(said, name) for name in open_)

    async def _until(self, what: str, so: Callable[[], bool], patience: float = PATIENCE) -> None:
        until = time.monotonic() + patience
        while not await asyncio.to_thread(so):
            if time.monotonic() > until:
                self.found.finding(f"after {patience:.0f} s it is not so that {what}")
                return
            await asyncio.sleep(0.2)

    # The end

    async def _judge(self) -> None:
        """Evidence, numbers and log."""
        await self._until("everything is sealed", self._all_sealed)
        sessions = await asyncio.to_thread(lambda: list(self._scene.sessions()))
        self.found.sessions = len(sessions)
        live = [session.name for session in sessions if session.live]
        if live:
            self.found.finding(f"live without anybody: {' '.join(live[:KEPT])}")
        self.found.wrong += self._scene.book.held_against(sessions)
        self.found.wrong += outlived(sessions, await asyncio.to_thread(self._ends, sessions))
        for words in (("verify", "--all"), ("audit", "verify")):
            done = await self._scene.bastion.admin(*words, expect=None, patience=VERIFYING)
            if done.status != 0:
                self.found.finding(f"{' '.join(words)}: {done.out[-2000:]}{done.err[-2000:]}")
        log = self._scene.bastion.log
        if "Traceback" in log:
            at = log.index("Traceback")
            self.found.finding(f"the log has a traceback: {log[at - 500 : at + 3000]}")

    def _ends(self, sessions: Sequence[Session]) -> dict[int, datetime]:
        numbers = {session.grant for session in sessions}
        grants = self._scene.services.store.live_grants_state(numbers)
        return {number: grant.over_at for number, grant in grants.items()}

    def _all_sealed(self) -> bool:
        newest: Sequence[Session] = self._scene.services.index.find(limit=500)
        return all(session.recording.sealed for session in newest)

    def _all_indexed(self) -> bool:
        """What was indexed once is not looked at again."""
        services = self._scene.services
        while numbers := services.index.numbers(self._indexed, PAGE):
            known = services.texts.between(numbers[0], numbers[-1])
            if any(known.get(each, State.GROWING) is State.GROWING for each in numbers):
                return False
            self._indexed = numbers[-1]
        return True


def shown(found: Found, plan: Plan) -> str:
    """What came of it, for people."""
    lines = growth.compared(found.samples, plan.seconds)
    done = ", ".join(f"{name} {number}" for name, number in sorted(found.done.items()))
    befell = ", ".join(f"{name} {number}" for name, number in sorted(found.losses.done.items()))
    again = {name: n for name, n in growth.started_again(found.samples).items() if n}
    return "\n".join(
        [
            "At rest:",
            "",
            growth.table([line for line in lines if line.resting]),
            "",
            "Under load:",
            "",
            growth.table([line for line in lines if not line.resting]),
            "",
            f"acts: {done}",
            f"beside: {befell or 'nothing'}; started again: {again or 'nobody'}",
            f"sessions: {found.sessions}; excused, as a process was lost: {len(found.excused)}",
            *(f"wrong: {sentence}" for sentence in found.wrong[:KEPT]),
            *(f"wrong: {line.process} has more {line.what}" for line in lines if line.grown),
        ]
    )


def sound(found: Found, plan: Plan) -> bool:
    """Whether nothing was wrong, and nothing has grown."""
    lines = growth.compared(found.samples, plan.seconds)
    return not found.wrong and not any(line.grown for line in lines)


def _known(session: Session) -> str:
    end = "live" if session.live else f"{session.end_reason} at {session.ended_at}"
    return f"{session.name} by G-{session.grant} from {session.started_at}, {end}"


def _sentence(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_sentence(each) for each in error.exceptions[:3])
    return f"{type(error).__name__}{_place(error)}: {error}"[:1500]


def _place(error: BaseException) -> str:
    """Where an act stood; of one that took too long, where it was cut off."""
    if isinstance(error, TimeoutError):  # it names no cause before Python 3.11.5
        error = error.__cause__ or error.__context__ or error
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if each.filename in (acts.__file__, visits.__file__)]
    return f" in {', '.join(f'{each.name}:{each.lineno}' for each in ours)}" if ours else ""


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
