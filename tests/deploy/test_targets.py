"""What deploy/ has for targets and clients is what the program prints."""

import re
from pathlib import Path

from bastion.inventory import Host
from cli.target import CONFIG, sshd
from cli.trust import Bastion, ssh_config

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLE = DEPLOY / "ansible" / "roles" / "bastion_target"


def bare(text: str) -> list[str]:
    """Its lines, but for remarks and what is empty."""
    return [line for line in text.splitlines() if line and not line.startswith(("#", "{%"))]


def test_the_settings_of_a_targets_sshd_are_those_of_host_setup() -> None:
    """In the file to copy, in the role's template, and in what is printed."""
    assert bare((DEPLOY / "ssh" / "00-bastion.conf").read_text()) == bare(CONFIG)
    template = (ROLE / "templates" / "00-bastion.conf.j2").read_text()
    filled = template.replace("{{ bastion_target_directory }}", "/etc/ssh")
    rest = ["RevokedKeys /etc/ssh/bastion_krl", "{{ bastion_target_also }}"]
    assert bare(filled) == [*bare(CONFIG), *rest]
    assert f"<<'END'\n{CONFIG}END\n" in sshd(Host("web-1", "192.0.2.1"), ["ssh-ed25519 AAAA"])


def test_the_clients_settings_are_those_of_trust() -> None:
    """For a bastion and a host of an example's names."""
    bastion = Bastion((), ("bastion.example.org",), "bastion.example.org", 2222)
    host = Host("prod-host", "192.0.2.1", aliases=frozenset({"www"}))
    printed = ssh_config(bastion, [(host, ("deploy", "ops"))], "alice", None)
    assert (DEPLOY / "ssh" / "ssh_config").read_text().endswith(f"\n\n{printed}")


def test_what_the_page_for_the_person_on_call_names_is_there() -> None:
    """Files of deploy/ that are installed, and pages that are linked."""
    docs = DEPLOY.parent / "docs"
    page = (docs / "operations.md").read_text()
    for pattern in re.findall(r" (deploy/\S+)", page):
        assert list(DEPLOY.parent.glob(pattern)), pattern
    for link in re.findall(r"\]\(([^)#]+)", page):
        assert (docs / link).exists(), link


def test_the_role_explains_each_of_its_variables() -> None:
    """In its README, and has a default for each."""
    words = "".join(path.read_text() for path in ROLE.rglob("*") if path.is_file())
    used = set(re.findall(r"bastion_target_[a-z]+", words)) - {"bastion_target_placed"}
    named = {name for name in used if name not in ("bastion_target_holds", "bastion_target_ca.pub")}
    defaults = (ROLE / "defaults" / "main.yml").read_text()
    readme = (ROLE / "README.md").read_text()
    for name in named:
        assert f"\n{name}:" in defaults, name
        assert f"| `{name}` |" in readme, name
