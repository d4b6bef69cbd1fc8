"""What terminals show, made up: prompts, listings, logs, tables of processes, code. Seeded.

Words are of a vocabulary as large as a language's, their frequencies as uneven; numbers, addresses
and hashes are as they come, so an index of it has as many different words as one of real text.
"""

import random
from collections.abc import Iterator
from itertools import accumulate

_SYLLABLES = (
    "ba be bi bo da de di do fa fe ga ge go ha he ka ke ki ko la le li lo ma me mi mo na ne ni no "
    "pa pe po ra re ri ro sa se si so ta te ti to va ve wa we za ze"
).split()
_DIRECTORIES = (
    "/var/log /etc /etc/nginx /usr/lib/python3 /home/deploy /srv/app/current /opt/data "
    "/var/lib/postgresql/15/main /etc/systemd/system"
).split()
_COMMANDS = (
    "ls -la {d}",
    "cat {d}/{w}.conf",
    "tail -n 50 {d}/{w}.log",
    "grep -rn {w} {d}",
    "systemctl status {w}",
    "journalctl -u {w} --since today",
    "psql -c 'SELECT * FROM {w} WHERE id = {n}'",
    "sudo systemctl restart {w}",
    "vi {d}/{w}.yml",
    "make -j4 {w}",
    "rm -rf {d}/{w}",
    "curl -s http://10.0.0.7/{w}?id={n}",
)
_LINES = (
    "-rw-r--r-- 1 {u} {u} {n:9} Nov {day:2} {h:02}:{m:02} {w}.{ext}",
    '10.0.{m}.{h} - - [{time}] "GET /{w}/{w2}?id={n} HTTP/1.1" 200 {n} "-" "Mozilla/5.0 (Linux)"',
    "Nov {time} web-1 {w}[{n}]: {level} {w2} {w3} {w4} {w} user={u} status={h}",
    "{u:8} {n:7} {h}.{m} {day}.0 {n} {n2} ? Ss {h:02}:{m:02} /usr/bin/{w} --{w2}={d}/{w3} -v",
    "{hex} {w} {w2} {w3} {w4}",
    "    def {w}_{w2}(self, {w3}: int) -> {w4}:  # {w2} {w3}",
)


class Speech:
    """Sessions of terminal text, each other than the rest."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 (made-up text)
        make = random.Random(0)  # noqa: S311 (made-up words)
        self.words = [
            "".join(make.choices(_SYLLABLES, k=make.choice((2, 2, 3, 3, 4)))) for _ in range(30_000)
        ]
        self._weights = list(accumulate(1 / (rank + 5) for rank in range(len(self.words))))

    def session(self, size: int) -> Iterator[str]:
        """Lines of about `size` characters together."""
        chance, told = self._random, 0
        while told < size:
            template = chance.choice(_LINES)
            block = [f"deploy@web-1:~$ {self._filled(chance.choice(_COMMANDS))}"]
            block += (self._filled(template) for _ in range(chance.choice((3, 10, 20, 40))))
            yield from block
            told += sum(map(len, block)) + len(block)

    def _filled(self, template: str) -> str:
        chance = self._random
        w, w2, w3, w4 = chance.choices(self.words, cum_weights=self._weights, k=4)
        number = chance.getrandbits(17)
        return template.format(
            w=w,
            w2=w2,
            w3=w3,
            w4=w4,
            n=number,
            n2=number * 7,
            h=number % 24,
            m=number % 60,
            day=1 + number % 28,
            time=f"{1 + number % 28:02}/Nov/2026:{number % 24:02}:{number % 60:02}:07",
            d=_DIRECTORIES[number % len(_DIRECTORIES)],
            u=("root", "deploy", "postgres")[number % 3],
            ext=("log", "conf", "py", "gz")[number % 4],
            level=("INFO", "WARN", "ERROR")[number % 3],
            hex=f"{chance.getrandbits(160):040x}",
        )
