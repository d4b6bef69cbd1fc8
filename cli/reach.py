"""`host check` and `host setup`: whether a target answers as it should, and what it needs."""

import asyncio
from functools import partial

import click

from bastion import app
from bastion.authority import Which
from bastion.inventory import Host
from bastion.ledger import Draft, Kind
from bastion.probe import Step
from cli import lookup, target
from cli.arguments import HOST, LOGIN
from cli.desk import Desk
from cli.listing import as_json
from cli.verb import Verb


@click.command(
    cls=Verb,
    examples=["[program] host check web-1 --login deploy", "[program] host check web-1 --json"],
)
@click.argument("name", type=HOST)
@click.option("--login", type=LOGIN, help="Also log in as this account, and compare clocks.")
@as_json
@click.pass_obj
def check(desk: Desk, *, name: str, login: str | None, json: bool) -> None:
    """Try a target: reach, host key, and with --login login and clock.

    It logs in as the bastion would, and runs nothing but `date +%s`. While the target CA is
    changed, a login by the next key is what makes the bastion use that one here.
    """
    found = lookup.host(desk.services, name)
    steps = asyncio.run(_steps(desk, found, login))
    _keep_target_ca(desk, found, steps)
    if json:
        desk.output.document(
            [{"what": step.what, "ok": step.well, "seen": step.seen} for step in steps]
        )
    else:
        rows = [(step.what, "ok" if step.well else "not ok", step.seen) for step in steps]
        desk.output.table(("what", "result", "seen"), rows)
    if not all(step.well for step in steps):
        raise click.exceptions.Exit(1)


async def _steps(desk: Desk, found: Host, login: str | None) -> list[Step]:
    prober = app.prober(desk.services)
    ledger, now = desk.services.store.sign_into_ledger, desk.services.clock.now()
    name, source = desk.actor.name, desk.actor.source
    draft = Draft(Kind.TARGET, name, frozenset(), now, source, host=found.name)
    with_login = None if login is None else (login, partial(ledger, draft))
    return [step async for step in prober.steps(found, with_login)]


def _keep_target_ca(desk: Desk, found: Host, steps: list[Step]) -> None:
    """Which target CA let us in there."""
    seen = next((step.target_ca for step in steps if step.target_ca is not None), None)
    if seen is not None and seen != found.target_ca:
        services = desk.services
        services.store.host_moved(found.name, seen, desk.actor, services.clock.now())


@click.command(
    cls=Verb,
    examples=[
        "[program] host setup web-1",
        "[program] host setup web-1 --authorized-keys deploy >> authorized_keys",
    ],
)
@click.argument("name", type=HOST)
@click.option(
    "--authorized-keys",
    "login",
    type=LOGIN,
    metavar="LOGIN",
    help="The line for this account's authorized_keys, where sshd_config can't be changed.",
)
@click.pass_obj
def setup(desk: Desk, *, name: str, login: str | None) -> None:
    """What a target's sshd needs, so that nobody walks around the bastion."""
    found = lookup.host(desk.services, name)
    cas = desk.services.authority.public_lines(Which.TARGET_CA)
    if login is None:
        desk.output.out(target.sshd(found, cas))
        return
    for ca in cas:
        desk.output.line(target.authorized_keys(found, login, ca))
    for remark in target.REMARKS:
        desk.output.note(remark)
