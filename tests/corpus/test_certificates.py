"""Certificates that are not what they say: a stolen CA, no principals, somebody else's name.

The ledger compares the whole certificate, and its key has to be enrolled; what a certificate
allows is read in the ledger and nowhere else.
"""

import asyncssh
import pytest
from asyncssh.public_key import SSHOpenSSHCertificate

from bastion.authority.keyfiles import Which, read_private
from tests.corpus.world import OPERATOR, Person, World, commands


def stranger() -> Person:
    """Somebody whom nobody has enrolled."""
    return Person("mallory", asyncssh.generate_private_key("ssh-ed25519"))


def signed_by(
    world: World, which: Which, key: asyncssh.SSHKey, *principals: str, serial: int = 0
) -> asyncssh.SSHCertificate:
    """A certificate by one of the bastion's own CAs, made by whoever has stolen it."""
    return read_private(world.services.home.keys / which).generate_user_certificate(
        key, "C-1", serial=serial, principals=list(principals), valid_before="+1d"
    )


def principals(certificate: asyncssh.SSHCertificate) -> list[str]:
    """The names in a certificate."""
    assert isinstance(certificate, SSHOpenSSHCertificate)
    return list(certificate.principals)


async def shut_out(world: World, *keys: object, name: str = "alice") -> None:
    """Whoever has these keys does not get in."""
    with pytest.raises(asyncssh.PermissionDenied):
        async with world.outer(*keys, name=name):
            raise AssertionError("in")


async def test_a_certificate_without_principals_fits_nobody(world: World) -> None:
    """asyncssh takes an empty list of principals for everybody. Tried: a stranger's key under a
    certificate of the real CA, and an enrolled person's."""
    world.contractor()
    mallory, bob = stranger(), world.enrol("bob")
    for person in (mallory, bob):
        everybody = signed_by(world, Which.USER_CA, person.key)
        assert principals(everybody) == []
        pair = asyncssh.load_keypairs((person.key, everybody))[0]
        await shut_out(world, pair)


async def test_a_certificate_for_another_users_name_is_not_hers(world: World) -> None:
    """The real CA certifies a stranger's key, or bob's, under alice's name: neither is alice."""
    world.contractor()
    for person in (stranger(), world.enrol("bob")):
        forged = signed_by(world, Which.USER_CA, person.key, "alice", "C-1", serial=1)
        await shut_out(world, asyncssh.load_keypairs((person.key, forged))[0])


async def test_a_stolen_ca_with_a_serial_of_the_ledger_opens_nothing(world: World) -> None:
    """Serials alone were compared: here another key has alice's names, key id and serial."""
    alice, mallory = world.contractor(), stranger()
    genuine = world.certify(alice)
    serial = world.services.store.ledger()[0].serial
    forged = signed_by(world, Which.USER_CA, mallory.key, *principals(genuine), serial=serial)
    await shut_out(world, asyncssh.load_keypairs((mallory.key, forged))[0])


async def test_a_certificate_that_the_ledger_does_not_know_prolongs_nothing(world: World) -> None:
    """A stolen CA certifies alice's own key for a day, after her grant: the bare key signs her in
    as before, and the certificate counts for nothing."""
    alice = world.enrol("alice")
    world.grant(alice)
    forged = signed_by(world, Which.USER_CA, alice.key, "alice", "C-1", serial=1)
    await shut_out(world, asyncssh.load_keypairs((alice.key, forged))[0])
    async with world.outer((alice.key, forged)) as outer:
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer):
                raise AssertionError("a forged certificate opened a jump")


@pytest.mark.parametrize("which", [Which.TARGET_CA, Which.HOST_CA, Which.SEAL, Which.HOST])
async def test_no_other_key_of_the_bastion_signs_people_in(world: World, which: Which) -> None:
    """Each CA is trusted for one thing: a target's or a host's certificate is nobody's here."""
    alice, mallory = world.contractor(), stranger()
    for person in (alice, mallory):
        other = signed_by(world, which, person.key, "alice")
        await shut_out(world, asyncssh.load_keypairs((person.key, other))[0])


async def test_a_targets_certificate_does_not_sign_in_here(world: World) -> None:
    """What the bastion itself logs in with at targets (it stands in the ledger too)."""
    alice = world.contractor()
    async with world.jump(alice) as inner:
        await inner.run("true")
    credential = world.services.authority.target_credential(
        "alice", "prod-host", "C-1", force_command=None, pty=True, now=world.now
    )
    await shut_out(world, asyncssh.load_keypairs((credential.key, credential.certificate))[0])


async def test_a_certificate_is_of_use_to_its_own_key_alone(world: World) -> None:
    """alice's genuine certificate beside bob's key: bob can't sign for it, and stays bob."""
    alice, bob = world.contractor(), world.enrol("bob")
    genuine = world.certify(alice)
    pair = asyncssh.load_keypairs([bob.key])[0]
    pair.public_data, pair.algorithm = genuine.public_data, genuine.algorithm
    await shut_out(world, pair, name="whoever")


async def test_without_a_live_certificate_there_is_no_jump(world: World) -> None:
    """An enrolled key alone opens the control plane, and says how to get a certificate."""
    alice = world.enrol("alice")
    world.grant(alice)
    async with world.outer(alice.key) as outer:
        assert (await outer.run("status")).exit_status == 0
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, alice.key):
                raise AssertionError("a jump without a certificate")


async def test_a_certificate_counts_for_the_key_it_is_for(world: World) -> None:
    """alice's certificate for one key gives her other key nothing (it may be the stolen one)."""
    alice = world.contractor()
    second = Person("alice", asyncssh.generate_private_key("ssh-ed25519"))
    world.services.store.enrol_key("alice", second.public, OPERATOR, world.now)
    async with world.outer(second.key) as outer:
        with pytest.raises(asyncssh.PermissionDenied):
            async with world.inner(outer, second.key, alice.key):
                raise AssertionError("a jump by a key without a certificate")


@pytest.mark.parametrize("originator", [("127.0.0.1", 65535), ("10.1.2.3", 4000)])
async def test_the_source_address_is_checked_on_every_path(
    world: World, originator: tuple[str, int]
) -> None:
    """CVE-2026-46595, CVE-2026-91164: the source was checked on one path only. Tried: by the bare
    key and by the certificate, as `-J` and as `-L` with an originator that would be allowed."""
    alice = world.enrol("alice")
    world.grant(alice, source="10.0.0.0/8")
    certificate = world.certify(alice)
    for key in (alice.key, asyncssh.load_keypairs((alice.key, certificate))[0]):
        async with world.outer(key) as outer:
            with pytest.raises(asyncssh.PermissionDenied):
                async with world.inner(outer, alice.key, originator=originator):
                    raise AssertionError("in from 127.0.0.1")
    assert not world.sessions


async def test_a_grants_networks_hold_for_kept_connections_of_other_grants(world: World) -> None:
    """Two grants, one of them from elsewhere only: what it allows is not lent to the other."""
    alice = world.enrol("alice")
    world.grant(alice, source="10.0.0.0/8")
    world.grant(alice, commands("id -u"))
    world.certify(alice)
    async with world.jump(alice) as inner:
        assert (await inner.run("id -u")).exit_status == 0
        assert (await inner.run("id")).exit_status == 254
