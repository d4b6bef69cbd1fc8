"""`policy`: what the rules say, before anybody needs to know; and `policy check`.

Over SSH `check` looks at the bastion's own file, and at no other.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from bastion.errors import Misconfigured
from bastion.rule_lint import Finding, Severity, lint
from bastion.rules import Rules, parse_rules
from bastion.text_files import read_text
from cli.desk import Desk
from cli.listing import as_json
from cli.rights import what_can_, who_can_
from cli.shapes import Shape
from cli.trying import SHORT, test
from cli.verb import Noun, Verb
from recorder.nouns import counted

_MEND = "name the file of the rules, or write one (docs/policy.md)"


@click.command(
    "check",
    cls=Verb,
    short_help="Look for what is wrong or odd in the rules.",
    examples=["[program] policy check", "[program] policy check /tmp/new-policy.toml"],
)
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@as_json
@click.pass_obj
def check(desk: Desk, *, file: Path | None, json: bool) -> None:
    """Look for what is wrong or odd in the rules; the bastion's own unless FILE is given.

    Exit status 1 where there is an error: the file can't be read, or nobody gets anything by a
    rule as things stand.
    """
    _check(desk, file or desk.services.home.policy, json)


@click.command("check", cls=Verb, examples=["[program] policy check"])
@as_json
@click.pass_obj
def check_own(desk: Desk, *, json: bool) -> None:
    """Look for what is wrong or odd in the bastion's rules.

    Exit status 1 where there is an error: the file can't be read, or nobody gets anything by a
    rule as things stand.
    """
    _check(desk, desk.services.home.policy, json)


def _check(desk: Desk, file: Path, json: bool) -> None:
    store, now = desk.services.store, desk.services.clock.now()
    try:
        rules = parse_rules(read_text(file, _MEND), file)
    except Misconfigured as mistake:
        if not json:
            raise
        desk.output.document(_checked(file, None, str(mistake), ()))
        raise click.exceptions.Exit(1) from None
    findings = lint(rules, store.users(), store.hosts(), now)
    if json:
        desk.output.document(_checked(file, rules, None, findings))
    else:
        _show_findings(desk, file, rules, findings)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise click.exceptions.Exit(1)


def _show_findings(desk: Desk, file: Path, rules: Rules, findings: Sequence[Finding]) -> None:
    if findings:
        rows = ((f.severity, f.rule, f.what, f.mend) for f in findings)
        desk.output.table(("severity", "rule", "what", "mend"), rows)
    odd = counted(len(findings), "finding") if findings else "nothing is odd"
    count, version = counted(len(rules.rules), "rule"), rules.version[:SHORT]
    desk.output.note(f"{file}: {count}, version {version}; {odd}.")


def _checked(
    file: Path, rules: Rules | None, mistake: str | None, findings: Sequence[Finding]
) -> Shape:
    return {
        "file": str(file),
        "version": None if rules is None else rules.version,
        "rules": None if rules is None else len(rules.rules),
        "mistake": mistake,
        "findings": [
            {"rule": f.rule or None, "severity": f.severity, "what": f.what, "mend": f.mend}
            for f in findings
        ],
    }


@click.group("policy", cls=Noun, examples=["[program] policy check"])
def policy() -> None:
    """The rules: look at them, try them, ask who can reach what."""


@click.group("policy", cls=Noun, examples=["[program] policy who-can web-1"])
def own_policy() -> None:
    """The rules: look at them, try them, ask who can reach what."""


for verb in (check, test, who_can_, what_can_):
    policy.add_command(verb)
for verb in (check_own, test, who_can_, what_can_):
    own_policy.add_command(verb)
