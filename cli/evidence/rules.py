"""The rule that allowed something, out of the text of all rules. Pure."""

import tomllib

from bastion.toml_places import Places


def rule_text(rules: str, name: str) -> str | None:
    """The lines of the rule with this name; None where there is none, or the text can't be read."""
    try:
        found = tomllib.loads(rules).get("rule")
    except tomllib.TOMLDecodeError:
        return None
    names = [each.get("name") for each in found] if isinstance(found, list) else []
    if name not in names:
        return None
    places, number = Places(rules), names.index(name)
    begin, end = places.line(("rule", number)), None
    if number + 1 < len(names):
        end = places.line(("rule", number + 1))
    lines = rules.split("\n")
    return _trimmed(lines[(begin or 1) - 1 : None if end is None else end - 1])


def _trimmed(lines: list[str]) -> str:
    """Without the blank and commented lines behind it, which are the next rule's."""
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return "\n".join(lines)
