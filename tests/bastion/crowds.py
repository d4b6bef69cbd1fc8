"""Processes that do something in the same moment, on one database.

Each is a whole program of its own, with its own connection, as a command on the machine is beside
the service. They make themselves ready, wait, and are let go together.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from bastion.errors import BastionError
from bastion.store import Store
from tests.bastion.stories import Story, ruled

PATIENCE = 40.0
"""Seconds that a process may take, for anything, on a machine under load."""


@dataclass(frozen=True)
class Task:
    """`story.<verb>(*args)`."""

    verb: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of a task: `error` is the kind of the refusal, `said` its sentence."""

    error: str | None = None
    said: str = ""


class Crowd:
    """As many processes as are needed, one for each task; they are kept for the next ones."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._members: list[tuple[SpawnProcess, Connection]] = []

    def at_once(self, file: Path, rules: Sequence[str], tasks: Sequence[Task]) -> list[Result]:
        """Let all `tasks` go in the same moment; what came of each, in their order."""
        while len(self._members) < len(tasks):
            self._members.append(self._member())
        pipes = [pipe for _, pipe in self._members[: len(tasks)]]
        for pipe, task in zip(pipes, tasks, strict=True):
            pipe.send((file, tuple(rules), task))
        assert [_heard(pipe) for pipe in pipes] == ["ready"] * len(tasks)
        for pipe in pipes:
            pipe.send("go")
        return [_heard(pipe) for pipe in pipes]

    def _member(self) -> tuple[SpawnProcess, Connection]:
        here, there = self._context.Pipe()
        process = self._context.Process(target=_work, args=(there,), daemon=True)
        process.start()
        there.close()
        return process, here

    def disperse(self) -> None:
        """End them all."""
        for process, pipe in self._members:
            pipe.close()
            process.join(PATIENCE)
            assert process.exitcode == 0, f"a process of the crowd ended with {process.exitcode}"
            process.close()


@contextmanager
def crowd() -> Iterator[Crowd]:
    """A crowd that is gone at the end of the block."""
    gathered = Crowd()
    try:
        yield gathered
    finally:
        gathered.disperse()


def _heard(pipe: Connection) -> Any:  # noqa: ANN401 - whatever the other side sent
    assert pipe.poll(PATIENCE), "a process of the crowd said nothing"
    return pipe.recv()


def _work(pipe: Connection) -> None:
    """What each of them does until nobody is at the other end."""
    while True:
        try:
            file, rules, task = pipe.recv()
        except EOFError:
            return
        store = Store.open(f"sqlite:///{file}")
        try:
            story = Story(store, ruled(*rules))
            story.inbox.requests()
            pipe.send("ready")
            pipe.recv()
            pipe.send(_done(story, task))
        finally:
            store.close()


def _done(story: Story, task: Task) -> Result:
    try:
        getattr(story, task.verb)(*task.args)
    except BastionError as error:
        return Result(type(error).__name__, str(error))
    return Result()
