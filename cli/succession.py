"""What contractors and targets have to change when a key is changed for another: sentences.

Nothing is written, here or there; what is to be pasted stands on a line of its own.
"""

from collections.abc import Iterator

from bastion.app import Services
from bastion.authority import Which
from bastion.authority.public_keys import line_of
from bastion.inventory import PublicKey
from bastion.rotation import Retired, Rotation, named
from cli.target import CA_FILE
from cli.trust import FILE, Bastion, known_hosts
from recorder.nouns import counted


def made(services: Services, which: Which, key: PublicKey) -> Iterator[str]:
    """After a next key was made."""
    match which:
        case Which.USER_CA:
            yield "It signs contractors' certificates from now on. Contractors change nothing."
            yield "Certificates by the old key count until they end, or until it is retired:"
            yield "  bastion-admin ca rotate user --retire"
        case Which.TARGET_CA:
            yield from _made_for_targets(services, key)
        case Which.HOST_CA:
            yield f"Each contractor adds this line to {FILE}, beside the one that is there"
            yield "(bastion-admin trust USER and ssh bastion trust print both, with their hosts):"
            yield f"  {_newest_line(services)}"
            yield "Until then the old key signs. When all have it:"
            yield "  bastion-admin ca rotate host --retire"
        case _:
            yield "It seals from now on. Auditors add this line to their allowed_signers, and"
            yield "keep the old one, which old seals are checked with:"
            yield f"  bastion {_bare(key)}"


def retired(services: Services, which: Which, what: Retired) -> Iterator[str]:
    """After an old key was retired."""
    match which:
        case Which.USER_CA:
            yield "The old key signs no more, and a certificate by it opens nothing by itself."
            yield from _live(what.live)
        case Which.TARGET_CA:
            if what.behind:
                yield f"Locked out until they trust the new key: {named(what.behind)}."
            yield f"Each target takes this line out of {CA_FILE} and out of authorized_keys:"
            yield f"  {_bare(what.old)}"
            yield "A list for RevokedKeys that refuses it: bastion-admin ca krl --output FILE"
        case _:
            yield "The bastion and the hosts behind it show certificates by the new key now."
            yield f"Each contractor takes this line out of {FILE}:"
            yield f"  {_host_line(services, what.old)}"


def _made_for_targets(services: Services, key: PublicKey) -> Iterator[str]:
    yield f"Each target adds this line to {CA_FILE}, beside the one that is there:"
    yield f"  {line_of(key)}"
    yield "An account that trusts the bastion by its authorized_keys gets one line more there:"
    yield f'  cert-authority,principals="LOGIN@HOST",restrict,pty {_bare(key)}'
    yield "bastion-admin host setup NAME prints both keys. The old one signs for a host until"
    yield "bastion-admin host check NAME --login LOGIN has logged in with the next one."
    rotation = Rotation(services.store, services.authority, services.home.keys)
    behind = rotation.behind()
    if behind:
        yield f"To move: {named(behind)}. When all have:"
    else:
        yield "There is no host to move, so at any time:"
    yield "  bastion-admin ca rotate target --retire"


def _live(count: int) -> Iterator[str]:
    if count:
        yield (
            f"{counted(count, 'live certificate is', 'live certificates are')} by it: "
            "who has one fetches another, ssh bastion cert."
        )


def _newest_line(services: Services) -> str:
    return _host_line(services, services.authority.generations(Which.HOST_CA).newest.public)


def _host_line(services: Services, key: PublicKey) -> str:
    bastion = Bastion.of(services)
    return known_hosts(Bastion((_bare(key),), bastion.names, bastion.address, bastion.port), ())


def _bare(key: PublicKey) -> str:
    """Without the comment."""
    return " ".join(line_of(key).split()[:2])
