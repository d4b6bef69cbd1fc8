"""docs/retention.md says what may be set, and what is found."""

import re
from pathlib import Path

from bastion.config import RetentionRule, RetentionSettings, Settings

TEXT = (Path(__file__).parents[2] / "docs" / "retention.md").read_text()


def test_the_settings_in_the_document_are_settings() -> None:
    """They are read as they stand, and each that there is stands there."""
    (shown,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    rules = Settings.parse(shown, Path("bastion.toml")).retention.rules
    assert rules.lines() == ["label:env=dev, web-*: 30d", "vault-1: forever", "default: 365d"]
    for name in {*RetentionRule.model_fields, *RetentionSettings.model_fields} - {"rule"}:
        assert re.search(rf"^{name} = ", shown, re.MULTILINE), name
