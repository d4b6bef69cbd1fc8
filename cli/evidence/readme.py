"""README.txt of a pack: what it is, what it proves, and how a stranger verifies it. Pure.

The commands are run by the tests as they stand in the text.
"""

import textwrap
from collections.abc import Iterator
from typing import Final

from bastion.sentences import printable
from cli.evidence.facts import Facts
from cli.evidence.words import first_lines, not_proved, proved, said, title

WIDTH: Final = 92


def readme(facts: Facts) -> str:
    """What whoever unpacks it reads first."""
    heading = title(facts)
    what = (
        f"Everything that the bastion {facts.node} knows of it, as of {said(facts.dossier.at)}, "
        f"packed by {facts.by}. {_READ_IT}"
    )
    parts = [
        f"{heading}\n{'=' * len(heading)}",
        *map(_filled, first_lines(facts)),
        _filled(what),
        "WHAT IS PROVED",
        *map(_item, proved(facts)),
        "WHAT IS NOT PROVED",
        *map(_item, not_proved(facts)),
        "WHAT IS WHAT",
        _CONTENTS,
        "HOW TO VERIFY IT",
        *verifying(facts),
    ]
    text = "\n\n".join(parts)
    return "".join(f"{printable(line)}\n" for line in text.split("\n"))


def verifying(facts: Facts) -> Iterator[str]:
    """How to verify a pack, step by step; lines that are to be typed are indented."""
    yield _NEEDED
    yield _KEY
    yield _PACK
    if any(held.kept is not None for held in facts.held):
        yield _recordings(facts)
    if facts.proof.over:
        yield _EVENTS
        yield _CHECKPOINTS_FOLLOW if facts.proof.whole else _CHECKPOINTS
        yield _ANCHORS
    yield _SEEING


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _item(text: str) -> str:
    lines = textwrap.wrap(text, WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return "- " + "\n  ".join(lines)


def _step(text: str, commands: str) -> str:
    return f"{text}\n\n{textwrap.indent(commands, '    ')}"


_READ_IT: Final = (
    "Open index.html to read it: it needs no network, and nothing in this pack runs anything."
)

_CONTENTS: Final = """\
index.html               all of it to be read, and printed
summary.json             what this is, and what was found, in short
grant.json               what was allowed, to whom, until when, and how it ended
requests.json            who asked for it, why, and who agreed
policy/, rules.json      the rules that it was judged by, as they were: a file's name is its SHA-256
people.json              who they are, as of now: names, roles, keys
certificates.json        what was signed for it: the user's, and one for each connection
connections.json         each jump through the bastion
sessions.json            what was done: hashes, seals, and how it ended
files.json, files.csv    which files went over
events.jsonl             the events about all this, each exactly as it was hashed for the log
proof/                   checkpoints that seal the log, their signatures, their lists of events
recordings/              what was shown (.cast, asciicast v2), what was sent (.sent), their seals
transcripts/             what was shown, as text to be read: the evidence is the recording
allowed_signers          the public seal key, for ssh-keygen
SHA256SUMS, .sig         the sums of all files, and the signature over them"""

_NEEDED: Final = """\
You need sha256sum, and ssh-keygen of OpenSSH 8.2 or newer. Type the indented lines in the
directory of this file, in a shell such as sh or bash."""

_KEY: Final = _step(
    """\
1. The key. Hold the one in allowed_signers against one that you have from the operator by
another way than this pack: by telephone, from a contract, from an earlier pack. The operator's
command is bastion-admin ca show seal. Where there are several lines, the first is the present
key, and the others are retired ones.""",
    "cat allowed_signers",
)

_PACK: Final = _step(
    """\
2. The pack. The first command says: Good "evidence@bastion" signature. The second says nothing
when all files are as they were signed, and the third when none was added.""",
    """\
ssh-keygen -Y verify -f allowed_signers -I seal -n evidence@bastion \\
  -s SHA256SUMS.sig < SHA256SUMS
sha256sum --quiet -c SHA256SUMS
(cut -c 67- SHA256SUMS; find * -type f ! -name 'SHA256SUMS*') | sort | uniq -u""",
)

_SEALED: Final = """\
3. The recordings. Each has a seal of its own from the end of its session: a manifest, signed by
the same key, that has the hashes of its files, and that the log was told of (recording.sealed in
events.jsonl). This says nothing when all is as it was sealed."""

_EACH_SEAL: Final = r"""
for seal in recordings/*.manifest; do
  ssh-keygen -Y verify -f allowed_signers -I seal -n recording@bastion \
    -s "$seal.sig" < "$seal" > /dev/null || echo "$seal: WRONG"
  grep -q "$(sha256sum < "$seal" | cut -c 1-64)" events.jsonl || echo "$seal: NOT TOLD"
"""[1:]

_TOMBSTONE: Final = r"""
  stone=${seal%.manifest}.tombstone
  if [ -e "$stone" ]; then
    ssh-keygen -Y verify -f allowed_signers -I seal -n tombstone@bastion \
      -s "$stone.sig" < "$stone" > /dev/null || echo "$stone: WRONG"
    continue
  fi
"""[1:]

_HASHES: Final = r"""
  grep -o '"name":"[^"]*","sha256":"[0-9a-f]*"' "$seal" |
    sed 's/"name":"\(.*\)","sha256":"\(.*\)"/\2  recordings\/\1/' | sha256sum --quiet -c
"""[1:]

_COVERED: Final = r"""
  grep -o '"name":"[^"]*","sha256":"[0-9a-f]*"' "$seal" |
    sed 's/"name":"\(.*\)","sha256":"\(.*\)"/\2  recordings\/\1/' |
    if grep -q '\.cast\.zst\.age"' "$seal"; then grep -v '\.cast$'; else cat; fi |
    sha256sum --quiet -c
"""[1:]

_OPENING: Final = """\
A recording that is encrypted is opened with an auditor's key. This gives what its seal has for
the .cast: age -d -i KEY recordings/S-31.cast.zst.age | zstd -dc | sha256sum"""


def _recordings(facts: Facts) -> str:
    """The step for what there is: let go, encrypted, or as it was."""
    gone = any(held.laid is not None for held in facts.held)
    covered = any(held.covered for held in facts.held)
    text, commands = _SEALED, _EACH_SEAL
    if gone:
        text += " A recording that was\nlet go has a signed tombstone in place of its files."
        commands += _TOMBSTONE
    commands += _COVERED if covered else _HASHES
    step = _step(text, f"{commands}done")
    return f"{step}\n\n{_OPENING}" if covered else step


_EVENTS: Final = _step(
    """\
4. The events. A line of events.jsonl is exactly what was hashed. A list in proof/ has a line for
every event of its time, the hash of its hash: so nothing is told of events about others. This
says which event is on no list.""",
    """\
while IFS= read -r event; do
  hash=$(printf %s "$event" | sha256sum | cut -c 1-64)
  line=$(printf %s "$hash" | sha256sum | cut -c 1-64)
  grep -qx "$line" proof/*.list || echo "on no list: $event"
done < events.jsonl""",
)

_JUDGED: Final = r"""
for body in proof/checkpoint-*.json; do
  stem=${body%.json}
  ssh-keygen -Y verify -f allowed_signers -I seal -n audit@bastion \
    -s "$stem.sig" < "$body" > /dev/null || echo "$body: WRONG"
  [ ! -e "$stem.list" ] ||
    grep -q '"sha256":"'$(sha256sum < "$stem.list" | cut -c 1-64)'"' "$body" ||
    echo "$stem.list: WRONG"
"""[1:]

_FOLLOWING: Final = """\
  [ -z "$before" ] || grep -q '"after":"'$before'"' "$body" ||
    echo "$body: does not follow the one before"
  before=$(sha256sum < "$body" | cut -c 1-64)
"""

_CHECKPOINTS: Final = _step(
    """\
5. The checkpoints. Each is signed, and names the hash of its list. This says what is not so.""",
    f"{_JUDGED}done",
)

_CHECKPOINTS_FOLLOW: Final = _step(
    """\
5. The checkpoints. Each is signed, names the hash of its list, and the hash of the checkpoint
before. This says what is not so.""",
    f"before=\n{_JUDGED}{_FOLLOWING}done",
)

_ANCHORS: Final = _step(
    """\
6. The anchors. Where checkpoints were sent out (proof/anchors.json), the receiver has their
numbers and these hashes.""",
    "sha256sum proof/checkpoint-*.json",
)

_SEEING: Final = """\
To see a recording again: any player of asciicast v2 takes it, but hands your terminal all that
the target wrote. On the bastion, bastion-admin replay leaves out what could harm. What was sent
is read there too: bastion-admin export --raw stdin, with the auditors' key."""
