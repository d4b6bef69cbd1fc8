"""Listing: the options that lists share, and the one way in which a list is told."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from cli.desk import Desk
from cli.output import Row
from cli.shapes import Shape

F = TypeVar("F", bound=Callable[..., object])

MOST = 500
"""No list is longer; the next page begins at an earlier time."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a list is to be told: as a table, as JSON or as CSV; and how much of it at most."""

    json: bool = False
    csv: bool = False
    limit: int = 100

    @property
    def enough(self) -> int:
        """What to ask the store for: one beyond the limit shows whether there are more."""
        return self.limit + 1


def as_json(command: F) -> F:
    """The option `--json`, as the parameter `json`."""
    return click.option("--json", "json", is_flag=True, help="Tell it as one JSON document.")(
        command
    )


def listed(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--limit`, `--csv` and `--json`, handed to the verb as one `form`."""

    @functools.wraps(command)
    def with_form(*args: Any, json: bool, csv: bool, limit: int, **kwargs: Any) -> Any:  # noqa: ANN401
        if json and csv:
            raise click.UsageError("--json and --csv can't both be.")
        return command(*args, form=Form(json, csv, limit), **kwargs)

    return as_json(_as_csv(_limited(with_form)))


_as_csv = click.option("--csv", "csv", is_flag=True, help="Tell it as comma-separated values.")
_limited = click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=100,
    show_default=True,
    help="At most so many, the newest first.",
)


def tell(
    desk: Desk,
    form: Form,
    what: str,
    columns: Sequence[str],
    found: Sequence[tuple[Row, Shape]],
) -> None:
    """A list of `what` (a plural): each thing as a row of `columns`, and as JSON."""
    shown = found[: form.limit]
    if form.json:
        desk.output.document([shape for _, shape in shown])
    elif form.csv:
        desk.output.csv(columns, (row for row, _ in shown))
    elif not shown:
        desk.output.note(f"No {what}.")
    else:
        desk.output.table(columns, (row for row, _ in shown))
    if len(found) > form.limit:
        desk.output.note(f"There are more {what}: narrow the list, or give a higher --limit.")


def described(desk: Desk, json: bool, shape: Shape, pairs: Iterable[tuple[str, object]]) -> None:
    """One thing: as JSON, or its properties line by line."""
    if json:
        desk.output.document(shape)
    else:
        desk.output.fields(pairs)
