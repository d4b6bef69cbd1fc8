"""`bastion-admin demo`: a whole story on loopback, with the real ssh client, in a minute.

It needs no sshd and no root, keeps nothing, and checks each step: it ends with 0 only if all of
them did what they should.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote, split

import click

from bastion.embedded import new_host_key, target
from bastion.errors import BastionError, Unavailable
from cli import door
from cli.desk import Desk
from cli.stage import PATIENCE, Said, Stage
from cli.verb import Verb, run

LOGINS = ("deploy", "ops")

RULES = """\
[[rule]]
name = "contractors on web"
who = ["@contractors"]
hosts = ["web-*"]
logins = ["deploy"]
allow = ["shell"]
longest = "4h"
approvals = [{ from = ["@leads"] }]

[[rule]]
name = "given by an operator"
who = ["*"]
hosts = ["*"]
logins = ["*"]
allow = ["shell"]
longest = "1d"
operators = true
"""
SHORT = 8
"""Seconds of the grant whose end is shown."""

FAILED = 255
"""ssh's status when a connection is refused or cut (ssh(1), EXIT STATUS)."""


class WentWrong(BastionError):
    """A step of the demo did not do what it should."""


@click.command(
    cls=Verb,
    short_help="A whole story on loopback, with the real ssh client.",
    examples=["[program] demo", "[program] demo --keep"],
)
@click.option("--keep", is_flag=True, help="Stay up for your own terminal, until ctrl-c.")
@click.pass_context
def demo(ctx: click.Context, *, keep: bool) -> None:
    """A whole story on loopback, with the real ssh client; it ends by itself.

    Everything happens in a temporary directory that is gone afterwards.
    """
    for program in ("ssh", "ssh-keygen"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is missing: install openssh-client.")
    admin = ctx.find_root().command
    desk: Desk = ctx.obj
    with tempfile.TemporaryDirectory(prefix="bastion-demo-") as directory, _plain_shell(directory):
        asyncio.run(_play(Story(desk, admin, Path(directory).resolve()), keep=keep))


@contextmanager
def _plain_shell(directory: str) -> Iterator[None]:
    """The target runs programs as whoever started it: a plain shell, and no files of theirs."""
    ours = {"HOME": directory, "SHELL": "/bin/sh"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


async def _play(story: "Story", *, keep: bool) -> None:
    try:
        ca = await asyncio.to_thread(story.begin)
        async with target(new_host_key(), ca, logins=LOGINS) as web:
            await asyncio.to_thread(story.go_on, web.port, web.host_key_line)
            if keep:
                story.invite()
                await asyncio.Event().wait()
    finally:
        await asyncio.to_thread(story.stage.stop)
    story.tell("That was all; nothing is left of it.")


class Story:
    """The steps in their order."""

    def __init__(self, desk: Desk, admin: click.Command, directory: Path) -> None:
        self._desk = desk
        self._admin = admin
        self.stage = Stage(directory, desk.output.out)

    def begin(self) -> str:
        """Make the bastion, and give the line of the CA that targets trust."""
        self.tell("A bastion, on loopback.")
        self._do("init", "--listen", f"127.0.0.1:{_free_port()}")
        self._typed("bastion-admin serve &")
        self.stage.serve()
        return self._do("ca", "show", "target").text

    def go_on(self, port: int, host_key: str) -> None:
        """Everything from the first user to the replay."""
        self._enrol(port, host_key)
        self._rule()
        self._ask()
        self._work()
        self._refuse()
        self._expire()
        self._look_back()

    def invite(self) -> None:
        """What to type on a terminal of one's own."""
        config = quote(str(self.stage.ssh("alice") / "config"))
        home = quote(str(self.stage.home))
        self.tell("It stays up until ctrl-c. On another terminal:")
        for line in (
            f"ssh -F {config} bastion",
            f"ssh -F {config} -J bastion deploy@web-1",
            f"bastion-admin --home {home} sessions",
        ):
            self._typed(line)

    def tell(self, text: str) -> None:
        """A sentence of the story."""
        self._desk.output.line()
        self._desk.output.line(self._desk.output.styled(f"# {text}", "dim"))

    def _enrol(self, port: int, host_key: str) -> None:
        self.tell("Alice is a contractor. She has an ordinary key, and nothing else.")
        self._person("alice", "--group", "contractors")
        self.tell("Bob may approve.")
        self._person("bob", "--role", "approver", "--group", "leads")
        self.tell("Two targets. Their sshd trusts the bastion's CA, and nobody's own key.")
        file = self.stage.directory / "web-1.pub"
        file.write_text(f"{host_key}\n")
        known = ("--host-key", str(file), "--shell-type", "sh")
        self._do("host", "add", "web-1", "--address", f"127.0.0.1:{port}", *known)
        self._do("host", "add", "db-1", "--address", f"127.0.0.1:{port}", *known)

    def _person(self, name: str, *more: str) -> None:
        """Somebody with a key and a client of one's own."""
        key = self.stage.person(name)
        self._typed("ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519", name)
        make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{name}@laptop")
        subprocess.run([*make, "-f", str(key)], check=True)
        self._do("user", "add", name, "--key", f"{key}.pub", *more)

    def _rule(self) -> None:
        self.tell("The rules are written before the need arises.")
        (self.stage.home / "policy.toml").write_text(RULES)
        self._typed("cat policy.toml")
        self._desk.output.out(RULES)
        self._do("policy", "check")

    def _ask(self) -> None:
        self.tell("An operator may give an access too, where a rule says so.")
        to = ("--login", "deploy", "--shell", "--for", "1h", "--reason", "compare with web-1")
        self._do("grant", "alice", "--host", "db-1", *to)
        self.tell("Each is sent what a stock OpenSSH client needs to trust the bastion.")
        for name in ("alice", "bob"):
            self._paste(name, "bastion_known_hosts")
            self._paste(name, "config", "--format", "ssh_config")
        self.tell("Alice asks: where, as whom, what, how long, why.")
        self._ssh(
            "bastion request web-1 --login deploy --shell --for 1h --reason disk full on web-1",
            check=lambda said: "R-1" in said.text,
        )
        self.tell("Bob approves. What she may do is exactly what she asked for, or less.")
        self._ssh("bastion requests", by="bob", check=lambda said: "disk full" in said.text)
        self._ssh("bastion approve R-1", by="bob", check=lambda said: "G-2" in said.text)
        self.tell("Her key opens the control plane, where she fetches a certificate.")
        self._ssh("bastion", check=lambda said: "You are alice" in said.text)
        self._fetch_certificate()

    def _work(self) -> None:
        self.tell("A plain jump. Output, errors and status are those of the target.")
        self._ssh(
            "-J bastion deploy@web-1 'echo on the target; exit 3'",
            check=lambda said: "on the target" in said.text,
            status=3,
        )
        self.tell("A shell.")
        self._typed("ssh -J bastion deploy@web-1", "alice")
        shell = self.stage.terminal("alice", "-J", "bastion", "deploy@web-1")
        for line in ("df -h / | tail -1", "exit"):
            if not shell.until(r"[$#] $"):
                break
            shell.type(f"{line}\r")
        said = shell.end()
        self._check(said.status == 0 and "recorded as S-2" in said.text, said)

    def _refuse(self) -> None:
        self.tell("What is not granted is refused, in a sentence: a login, and a host.")
        self._ssh(
            "-J bastion root@web-1",
            check=lambda said: "not granted" in said.text,
            status=FAILED,
        )
        self._do("revoke", "G-1", "--reason", "wrong host")
        self._ssh(
            "-J bastion deploy@db-1",
            check=lambda said: "was revoked" in said.text,
            status=FAILED,
        )

    def _expire(self) -> None:
        self.tell(f"A grant of {SHORT} seconds. When it is over, the session is over.")
        to = ("--login", "ops", "--shell", "--for", f"{SHORT}s", "--reason", "a quick look")
        self._do("grant", "alice", "--host", "web-1", *to)
        self._fetch_certificate()
        self._typed("ssh -J bastion ops@web-1", "alice")
        shell = self.stage.terminal("alice", "-J", "bastion", "ops@web-1")
        if shell.until(r"[$#] $"):
            shell.type("while sleep 1; do date; done\r")
        said = shell.end()
        self._check(said.status == FAILED and "G-3 ended at" in said.text, said)

    def _look_back(self) -> None:
        self.tell("Everything was recorded before it was shown.")
        self._settled()
        listed = self._do("sessions")
        self._check("expired" in listed.text and "S-3" in listed.text, listed)
        self._do("show", "S-3")
        self.tell("The shell again, as it was.")
        self._do("replay", "S-2", "--speed", "2", "--idle", "0.5")
        self.tell(
            "Who asked for, approved, used and looked at what, and why: all of it, in a chain."
        )
        story = self._do("audit", "--grant", "G-2")
        self._check("bob" in story.text, story)
        self._do("audit", "seal")
        self._do("audit", "verify")

    def _settled(self) -> None:
        """Wait until the recording of what has just been cut is closed."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            heard: list[str] = []
            self._run(("sessions", "--live", "--csv"), heard.append)
            if len("".join(heard).splitlines()) <= 1:
                return
            time.sleep(0.05)

    def _fetch_certificate(self) -> None:
        self._typed("ssh bastion cert > ~/.ssh/id_ed25519-cert.pub", "alice")
        file = self.stage.ssh("alice") / "id_ed25519-cert.pub"
        said = self.stage.fetch("alice", file, "bastion", "cert")
        self._check(said.status == 0, said)

    def _paste(self, person: str, name: str, *more: str) -> None:
        """`trust … > ~/.ssh/NAME`, with the demo's own directory for `~/.ssh`."""
        said, text = self._admin_says("trust", person, *more, f"> ~/.ssh/{name}")
        self._check(said == 0, Said(said, text))
        own = self.stage.ssh(person)
        (own / name).write_text(text.replace("~/.ssh/", f"{own}/"))

    def _do(self, *words: str) -> Said:
        """A command of ours, shown with its output; it has to go well."""
        self._typed(f"bastion-admin {' '.join(map(self._shown, words))}")
        heard: list[str] = []

        def out(text: str) -> None:
            heard.append(text)
            self._desk.output.out(text)

        said = Said(self._run(words, out), "".join(heard))
        self._check(said.status == 0, said)
        return said

    def _admin_says(self, *words: str) -> tuple[int, str]:
        """A command of ours whose output goes into a file, as its last word says."""
        self._typed(f"bastion-admin {' '.join(words)}")
        heard: list[str] = []
        return self._run(words[:-1], heard.append), "".join(heard)

    def _run(self, words: tuple[str, ...], out: Callable[[str], object]) -> int:
        output = replace(self._desk.output, out=out, err=self._desk.output.out)
        desk = Desk(self._desk.program, output, self._desk.actor, door.entered)
        return run(self._admin, ("--home", str(self.stage.home), *words), desk)

    def _ssh(
        self, line: str, *, check: Callable[[Said], bool], status: int = 0, by: str = "alice"
    ) -> None:
        """`ssh LINE`, shown with what it says."""
        self._typed(f"ssh {line}", by)
        said = self.stage.terminal(by, *split(line)).end()
        self._check(said.status == status and check(said), said)

    def _typed(self, line: str, by: str | None = None) -> None:
        prompt = self._desk.output.styled(f"{by}$" if by else "$", "dim")
        self._desk.output.line(f"{prompt} {self._desk.output.styled(line, 'bold cyan')}")

    def _shown(self, word: str) -> str:
        """A word as one would type it; the demo's directory is nobody's business."""
        for own in map(self.stage.ssh, ("alice", "bob")):
            if word.startswith(f"{own}/"):
                return word.replace(str(own), "~/.ssh")
        return quote(word.removeprefix(f"{self.stage.directory}/"))

    def _check(self, well: bool, said: Said) -> None:
        if not well:
            raise WentWrong(
                f"That is not what should have happened (exit status {said.status}): look above."
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
