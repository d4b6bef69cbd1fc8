"""Figures: pairs of measurements, what became of them, and how they are shown. Pure.

Everything is measured in pairs, first by way of OpenSSH's ProxyJump and then by way of the
bastion, one right after the other. A ratio is the median of the pairs' own ratios: what else the
machine was doing has then been much the same for both.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement by each way, in the same unit, taken one right after the other."""

    proxyjump: float
    bastion: float

    @property
    def ratio(self) -> float:
        """The bastion's figure over ProxyJump's."""
        return self.bastion / self.proxyjump


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Without a goal it is there to be known; `met` is None then."""

    what: str
    unit: str
    proxyjump: float | None
    bastion: float
    ratio: float | None
    goal: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """The line as texts, in the order of `HEADINGS`."""
        told = {None: "", True: "met", False: "not met"}[self.met]
        figures = (_shown(self.proxyjump, self.unit), _shown(self.bastion, self.unit))
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return self.what, *figures, ratio, self.goal, told


HEADINGS = ("what", "ProxyJump", "bastion", "ratio", "goal", "")


def row(what: str, unit: str, pairs: Sequence[Pair]) -> Row:
    """The medians of `pairs`, with nothing that has to be reached."""
    return Row(
        what,
        unit,
        median(pair.proxyjump for pair in pairs),
        median(pair.bastion for pair in pairs),
        median(pair.ratio for pair in pairs),
    )


def at_most(what: str, unit: str, pairs: Sequence[Pair], most: float) -> Row:
    """Something that is better when it is less: its ratio must not exceed `most`."""
    plain = row(what, unit, pairs)
    return _judged(plain, f"ratio ≤ {most:.1f}", plain.ratio is not None and plain.ratio <= most)


def at_least(what: str, unit: str, pairs: Sequence[Pair], least: float) -> Row:
    """Something that is better when it is more: its ratio must reach `least`."""
    plain = row(what, unit, pairs)
    return _judged(plain, f"ratio ≥ {least:.1f}", plain.ratio is not None and plain.ratio >= least)


def within(what: str, unit: str, pairs: Sequence[Pair], more: float) -> Row:
    """Something that may be `more` than ProxyJump's, and no more than that."""
    plain = row(what, unit, pairs)
    difference = median(pair.bastion - pair.proxyjump for pair in pairs)
    return _judged(plain, f"≤ +{more:g} {unit}", difference <= more)


def below(what: str, unit: str, proxyjump: float | None, bastion: float, most: float) -> Row:
    """Something of the bastion's alone, which must not exceed `most`."""
    ratio = bastion / proxyjump if proxyjump else None
    return Row(what, unit, proxyjump, bastion, ratio, f"≤ {most:g} {unit}", bastion <= most)


def above(what: str, unit: str, bastion: float, least: float) -> Row:
    """Something of the bastion's alone, which must reach `least`."""
    return Row(what, unit, None, bastion, None, f"≥ {least:g} {unit}", bastion >= least)


def known(what: str, unit: str, bastion: float) -> Row:
    """Something of the bastion's alone, with nothing that has to be reached."""
    return Row(what, unit, None, bastion, None)


def percentile(values: Sequence[float], number: int) -> float:
    """The `number`th percentile (1 to 99) of at least two values."""
    return quantiles(values, n=100, method="inclusive")[number - 1]


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown that can be read as it is."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    aligned = [_line(line, widths) for line in lines]
    ruler = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([aligned[0], f"|{ruler}|", *aligned[1:]])


def document(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The rows for JSON."""
    return [asdict(row) for row in rows]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        + " |"
    )


def _judged(plain: Row, goal: str, met: bool) -> Row:
    return Row(plain.what, plain.unit, plain.proxyjump, plain.bastion, plain.ratio, goal, met)


def _shown(figure: float | None, unit: str) -> str:
    if figure is None:
        return ""
    digits = 0 if figure >= 100 else 1 if figure >= 10 else 2
    return f"{figure:.{digits}f} {unit}"
