"""`trust`: what a contractor pastes, so that a stock OpenSSH client trusts the bastion.

The texts are made here from the settings and the inventory; nothing is written.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from bastion.app import Services
from bastion.authority import Which
from bastion.errors import Misconfigured
from bastion.inventory import Host, PublicKey, Role, User
from bastion.looks import Way
from bastion.rights import may_ask_for, what_can
from cli import lookup
from cli.arguments import USER
from cli.desk import Desk
from cli.verb import Verb

ALIAS = "bastion"
"""The bastion's name in an ssh_config."""

FILE = "~/.ssh/bastion_known_hosts"

FEW = 3
"""So many hosts are named."""

_ANY = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on

FORMATS = click.Choice(["known_hosts", "ssh_config"])


@dataclass(frozen=True, slots=True)
class Bastion:
    """The bastion as contractors see it: `names` are in its host certificate.

    There are two `host_cas` while one key is changed for another.
    """

    host_cas: tuple[str, ...]
    names: tuple[str, ...]
    address: str
    port: int

    @classmethod
    def of(cls, services: Services) -> "Bastion":
        """The bastion of these services."""
        listen = services.settings.listen
        names = tuple(dict.fromkeys([*listen.names, *_listened(listen.host)]))
        return cls(
            host_cas=tuple(
                " ".join(line.split()[:2])
                for line in services.authority.public_lines(Which.HOST_CA)
            ),
            names=names,
            address=_address(listen.host, names),
            port=listen.port,
        )


@click.command(
    cls=Verb,
    short_help="What a contractor pastes to trust the bastion.",
    examples=[
        "[program] trust alice > bastion_known_hosts",
        "[program] trust alice --format ssh_config",
    ],
)
@click.argument("user", type=USER, required=False)
@click.option(
    "--format",
    "form",
    type=FORMATS,
    default="known_hosts",
    show_default=True,
    help="Host keys to trust, or settings that name everything.",
)
@click.pass_obj
def trust(desk: Desk, *, user: str | None, form: str) -> None:
    """What a contractor pastes: the bastion, and the hosts that USER may reach, or ask for."""
    person = None if user is None else lookup.user(desk.services, user)
    tell_trust(desk, person, person.keys[0] if person and person.keys else None, form)


def tell_trust(desk: Desk, person: User | None, key: PublicKey | None, form: str) -> None:
    """The text, and where it belongs. `key` is the one that the bastion will be shown."""
    services = desk.services
    bastion = Bastion.of(services)
    granted = [] if person is None else _known_to(services, person)
    if form == "known_hosts":
        desk.output.line(known_hosts(bastion, (host for host, _ in granted)))
        desk.output.note(f"Put this into {FILE}; ssh_config names that file.")
        desk.output.note(
            "It has the names of today: if ssh asks whether a host is authentic, answer no, and "
            f"fetch it again, ssh bastion trust > {FILE}"
        )
    else:
        desk.output.out(ssh_config(bastion, granted, person.name if person else "YOUR-NAME", key))
        desk.output.note(f"Put this into ~/.ssh/config; the host keys belong into {FILE}.")
        if services.settings.listen.host in _ANY and not _whole(bastion.address):
            desk.output.note(
                f"{bastion.address} is what this machine calls itself. Where contractors reach it "
                "by another name, that name has to be in the host certificate: init --name NAME."
            )
        else:
            desk.output.note(f"{bastion.address} has to lead to this bastion from where that is.")


def granted_hosts(services: Services, person: User) -> list[tuple[Host, tuple[str, ...]]]:
    """The hosts that grants which are not over let somebody reach, each with the logins."""
    grants = services.store.grants_not_over(person.name, services.clock.now())
    found = []
    for host in services.store.hosts():
        logins = frozenset().union(*(grant.logins for grant in grants if grant.covers(host)))
        if logins:
            found.append((host, tuple(sorted(logins))))
    return found


def strangers(services: Services, person: User) -> tuple[str, ...]:
    """Hosts that were granted and that no rule let somebody ask for, three at most.

    What `trust` gave before the grant can't have named them.
    """
    try:
        rules = services.rulebook.current()
    except Misconfigured:
        return ()
    granted = (host for host, _ in granted_hosts(services, person))
    return tuple(h.name for h in granted if not may_ask_for(rules, person, h))[:FEW]


def _known_to(services: Services, person: User) -> list[tuple[Host, tuple[str, ...]]]:
    """Those, and behind them what the rules let a contractor ask for: pasted once, it is enough."""
    granted = granted_hosts(services, person)
    if Role.CONTRACTOR not in person.roles:
        return granted
    known = {host.name: host for host in services.store.hosts()}
    logins: dict[str, list[str]] = {}
    for right in what_can(services.rulebook.current(), person, known.values()):
        if right.way is not Way.OPERATOR:
            logins.setdefault(right.host, []).extend(right.logins)
    there = {host.name for host, _ in granted}
    asked = [(known[name], logins[name]) for name in sorted(logins) if name not in there]
    named = [(host, tuple(dict.fromkeys(n for n in names if n != "*"))) for host, names in asked]
    return [*granted, *named]


def known_hosts(bastion: Bastion, hosts: Iterable[Host]) -> str:
    """A `@cert-authority` line for each host CA (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

    Hosts behind the bastion are reached at port 22, or at their own: ssh looks for the bare name
    at 22, and for `[name]:port` at any other.
    """
    patterns = [_pattern(name, bastion.port) for name in bastion.names]
    for host in hosts:
        for name in sorted(host.names):
            patterns.append(name)
            if host.port != 22:
                patterns.append(_pattern(name, host.port))
    names = ",".join(dict.fromkeys(patterns))
    return "\n".join(f"@cert-authority {names} {ca}" for ca in bastion.host_cas)


def ssh_config(
    bastion: Bastion,
    granted: Sequence[tuple[Host, tuple[str, ...]]],
    user: str,
    key: PublicKey | None,
) -> str:
    """An ssh_config(5) by which `ssh HOST` goes through the bastion, with strict host keys."""
    file = key_file(key)
    parts = [
        f"Host {ALIAS}",
        f"    HostName {bastion.address}",
        f"    Port {bastion.port}",
        f"    User {user}",
        f"    IdentityFile {file}",
        f"    CertificateFile {file}-cert.pub",
        "    IdentitiesOnly yes",
        "    ControlPath none",
        *_STRICT,
    ]
    for host, logins in granted:
        parts += ["", *_host(host, logins)]
    return "".join(f"{part}\n" for part in parts)


_STRICT = (f"    UserKnownHostsFile {FILE}", "    StrictHostKeyChecking yes")


def _host(host: Host, logins: tuple[str, ...]) -> list[str]:
    names = " ".join([host.name, *sorted(host.aliases)])
    more = f"    # also as {', '.join(logins[1:])}: ssh LOGIN@{host.name}"
    return [
        f"Host {names}",
        *([f"    User {logins[0]}"] if logins else []),
        *([more] if len(logins) > 1 else []),
        f"    ProxyJump {ALIAS}",
        *_STRICT,
    ]


def _pattern(name: str, port: int) -> str:
    return name if port == 22 else f"[{name}]:{port}"


def _listened(host: str) -> list[str]:
    return [] if host in _ANY else [host]


def _address(host: str, names: Sequence[str]) -> str:
    """Where contractors connect to: a whole name if there is one, else what is listened on.

    It is always one that the host certificate names.
    """
    whole = [name for name in names if _whole(name)]
    if whole:
        return whole[0]
    return ([name for name in names if name != ALIAS] or [ALIAS])[-1] if host in _ANY else host


def _whole(name: str) -> bool:
    return "." in name and not name.replace(".", "").isdigit()


def key_file(key: PublicKey | None) -> str:
    """Where OpenSSH keeps a key of that kind unless told otherwise."""
    return f"~/.ssh/{_FILES.get(key.algorithm, 'id_ecdsa') if key else 'id_ed25519'}"


_FILES = {
    "ssh-ed25519": "id_ed25519",
    "ssh-rsa": "id_rsa",
    "sk-ssh-ed25519@openssh.com": "id_ed25519_sk",
    "sk-ecdsa-sha2-nistp256@openssh.com": "id_ecdsa_sk",
}
