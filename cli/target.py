"""What a target needs so that the bastion is the only way in: texts, made from host and CA.

Nothing is written, here or there: an operator reads it and puts it in its place.
"""

from collections.abc import Iterable

from bastion.inventory import Host

CA_FILE = "/etc/ssh/bastion_target_ca.pub"
CONFIG_FILE = "/etc/ssh/sshd_config.d/00-bastion.conf"

CONFIG = """\
TrustedUserCAKeys /etc/ssh/bastion_target_ca.pub
AuthenticationMethods publickey
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
GSSAPIAuthentication no
PermitUserRC no
PermitUserEnvironment no
AllowAgentForwarding no
AllowTcpForwarding local
AllowStreamLocalForwarding no
GatewayPorts no
PermitTunnel no
X11Forwarding no
ClientAliveInterval 15
ClientAliveCountMax 3
LogLevel VERBOSE
"""
"""What stands in that file; deploy/ has the same, for sshd_config.d and for Ansible."""

_SSHD = """\
# {name}: what its sshd needs. Run this there, as root.
#
# CAREFUL: this shuts every other way in by SSH, yours too. Keep a console open, or put your own
# account below a `Match User` block at the end of the file, with what it needs.

cat > {ca_file} <<'END'
{ca}
END

# The first value that sshd reads counts, so this file has to come first. Where sshd_config has no
# `Include /etc/ssh/sshd_config.d/*.conf` at its top, put these lines there instead.
cat > {config_file} <<'END'
{config}END

sshd -t && systemctl reload ssh      # or sshd, as the service is called there

# Then look from the bastion:   bastion-admin host check {name} --login LOGIN
# The target's log names who came, as in: ID "C-31 alice G-7" (serial 7) CA ED25519 …
#
# What a shell grant can still build on {name}, whatever sshd says:
#   - programs that go on after the session (nohup, cron, at, systemd --user): a target ends them
#     with KillUserProcesses=yes in logind.conf, and keeps people out of cron by cron.allow;
#   - a listener or a tunnel of its own on another port: let a firewall allow only the bastion in,
#     and out only what the host needs;
#   - a ~/.bashrc that changes what later commands do: let the accounts of command grants have
#     start-up files that they can't write.
"""

REMARKS = (
    "Every other line of that file is another way in: remove what is not meant to be one.",
    "sshd may still allow passwords: without its sshd_config that can't be changed.",
)


def sshd(host: Host, cas: Iterable[str]) -> str:
    """The commands that make a target's sshd trust the bastion, and nobody else.

    `cas` are the lines of the target CA: two, while one key is changed for another.
    """
    lines = "\n".join(cas)
    return _SSHD.format(
        name=host.name, ca=lines, ca_file=CA_FILE, config_file=CONFIG_FILE, config=CONFIG
    )


def authorized_keys(host: Host, login: str, ca: str) -> str:
    """One line for an account's authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT).

    Certificates of the bastion that were made for this account on this host, with a terminal at
    most; what they force stays forced.
    """
    return f'cert-authority,principals="{login}@{host.name}",restrict,pty {ca}'
