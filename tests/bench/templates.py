"""How long a decision about a command takes: its line taken apart, and held against templates.

One template of each kind, by the longest; and a thousand in one grant, where the last one fits.
"""

import time
from collections.abc import Sequence
from statistics import median

from bastion import commands
from bastion.templates import Template, matching, parse_template
from tests.bench.figures import Row, below

ONE = 50.0
"""Microseconds for a decision by one template."""

MANY = 1.0
"""Milliseconds for one by a thousand."""

COUNT = 1000

_SINGLE = {
    "systemctl restart {nginx,php-fpm}": "systemctl restart php-fpm",
    "tail -n {int:1-1000} {path:/var/log}": "tail -n 1000 /var/log/nginx/error.log",
    "x --unit={re:[a-z0-9-]{1,64}}": f"x --unit={'web-7d4b9c-' * 5}",
    "x {word} {words}": f"x {'a/b ' * 20}",
}
_MANY = {
    "programs": ("prog{n} {{int:1-1000}} {{path:/var/log}}", "prog999 5 /var/log/x"),
    "choices": ("systemctl restart {{a{n},b{n}}}", "systemctl restart b999"),
    "patterns": ("systemctl restart {{re:svc{n}-[a-z]{{1,32}}}}", "systemctl restart svc999-web"),
}


def measure(times: int) -> list[Row]:
    """Each `times` over."""
    longest = max(_microseconds((parse_template(t),), line, times) for t, line in _SINGLE.items())
    rows = [below("a command judged by a template", "µs", None, longest, ONE)]
    for kind, (text, line) in _MANY.items():
        granted = tuple(parse_template(text.format(n=n)) for n in range(COUNT))
        taken = _microseconds(granted, line, max(times // 10, 10)) / 1000
        rows.append(below(f"the same by {COUNT} templates ({kind})", "ms", None, taken, MANY))
    return rows


def _microseconds(granted: Sequence[Template], line: str, times: int) -> float:
    """The median; the first one, in which patterns learn, counts like any other."""
    taken: list[float] = []
    for _ in range(times):
        begun = time.perf_counter()
        found = sum(1 for _ in matching(granted, commands.parse(line).argv))
        taken.append((time.perf_counter() - begun) * 1e6)
        assert found == 1, line
    return median(taken)
