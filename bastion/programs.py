"""Programs that do more than they seem to: for warnings to whoever grants them. Pure.

What is not in this list is not therefore harmless: nothing is refused or let through by it. It is
ours; the idea is that of GTFOBins.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """What a program can do beside its task, as in `less can …`, and what to grant instead.

    With one of `tame` among its words it is taken to keep to its task, where nobody chooses
    its options.
    A `carrier` starts the program that is named behind it.
    """

    can: str
    instead: str
    tame: frozenset[str] = frozenset()
    carrier: bool = False


def known(name: str) -> Program | None:
    """What is known of a program, by its name or path; also `python3.11` is python."""
    base = name.rpartition("/")[2]
    return _KNOWN.get(base) or _KNOWN.get(base.rstrip("0123456789.-"))


def _all(*rows: tuple[str, Program]) -> dict[str, Program]:
    return {name: program for names, program in rows for name in names.split()}


def _tamed(can: str, instead: str, words: Iterable[str]) -> Program:
    return Program(can, instead, frozenset(words))


_PAGED = "start a shell from its pager"
_SHELL = "run any command: it is a shell, or takes a program's text"
_LANGUAGE = "run any code, and start any program"
_SHELLS_INSTEAD = "grant the commands themselves, or --shell and say so"
_SCRIPT = "put the task into a script that root owns, and grant that script's path"
_EDITOR = "start a shell and write files"
_FILES = "let the file go over sftp: --sftp write:/DIR/FILE"
_CARRIES = "run the program behind it otherwise than by itself"
_BEHIND = "fix every word behind it, and look at that program as if it stood alone"

_KNOWN = _all(
    (
        "sh bash dash ash ksh mksh zsh fish csh tcsh busybox toybox rbash",
        Program(_SHELL, _SHELLS_INSTEAD),
    ),
    ("eval exec source . command builtin trap alias", Program(_SHELL, _SHELLS_INSTEAD)),
    (
        (
            "python perl ruby node nodejs php lua luajit tclsh wish expect irb julia Rscript ghci "
            "guile java jshell deno bun erl iex"
        ),
        Program(_LANGUAGE, _SCRIPT),
    ),
    ("awk gawk mawk nawk", Program("start programs and write files by its text", _SCRIPT)),
    (
        "sed",
        Program("start programs (e) and write files (w, -i) by its text", "fix the whole line"),
    ),
    (
        "vi vim nvim view vimdiff ex ed emacs nano pico joe mcedit mc micro",
        Program(_EDITOR, _FILES),
    ),
    (
        "less more most pg lv",
        Program("start a shell, an editor, and read any file", "grant cat with a fixed path"),
    ),
    ("man info", Program(_PAGED, "leave it away: manuals are to be had elsewhere")),
    (
        "journalctl",
        _tamed(_PAGED, "write --no-pager and the exact units (--unit=nginx)", ["--no-pager"]),
    ),
    (
        "systemctl loginctl machinectl timedatectl hostnamectl resolvectl networkctl",
        _tamed(
            "start a shell from its pager, and with edit or link change what root runs",
            "write --no-pager, the verb and the exact units",
            "--no-pager is-active is-enabled is-failed start stop restart reload".split(),
        ),
    ),
    (
        "psql",
        Program(
            "start a shell (\\!), and read and write files (\\copy, COPY … PROGRAM)",
            "write psql -X -c with a fixed statement, as a database role that only reads",
        ),
    ),
    (
        "mysql mariadb",
        Program(
            "start a shell (\\! and system), and read files",
            "write mysql --batch -e with a fixed statement, as an account that only reads",
        ),
    ),
    (
        "sqlite3 redis-cli mongo mongosh duckdb clickhouse-client sqlcmd",
        Program("start programs or write files by its commands", "fix the whole statement"),
    ),
    (
        "tar bsdtar cpio",
        Program(
            "run any program by an option (--checkpoint-action, --to-command, -I)",
            "fix all options, with -- before a path that may be chosen",
        ),
    ),
    (
        "zip unzip 7z rar",
        Program("run programs by an option (-T -TT) and write files", "fix all options"),
    ),
    (
        "find fd fdfind",
        Program(
            "run any program (-exec, -ok) and remove or write files (-delete, -fprint)",
            "fix the whole line, or grant ls with {path:/DIR}",
        ),
    ),
    ("xargs parallel", Program("run any program", "grant that program itself")),
    (
        "git",
        Program(
            "run any program (-c, --upload-pack, hooks, its pager) and write files",
            "grant git-upload-pack or git-receive-pack with the exact repository",
        ),
    ),
    ("hg svn", Program("run programs by its settings (--config)", "fix all options")),
    (
        "rsync",
        Program(
            "run any program (-e, --rsync-path), and follow links out of a directory",
            "fix all options (rrsync on the host limits it to a directory), or use --sftp",
        ),
    ),
    (
        "scp sftp lftp ftp rclone curl wget tftp",
        Program("read and write any file, and send it anywhere", "use --sftp, which is judged"),
    ),
    (
        "ssh mosh telnet slogin dropbear dbclient",
        Program(
            "lead to other machines unseen, and run programs by an option (ProxyCommand)",
            "grant the other machine as a host of its own",
        ),
    ),
    (
        "nc ncat netcat socat nmap openssl",
        Program("run programs, and open connections to anywhere", "use --forward HOST:PORT"),
    ),
    (
        "kubectl oc",
        Program(
            "run any program in a container (exec, run, debug, cp, edit), and read secrets",
            "write the verb, the namespace and the kind: kubectl -n shop logs {re:…}",
        ),
    ),
    (
        "docker podman nerdctl ctr crictl lxc lxc-attach",
        Program(
            "become root (run -v /:/mnt, exec, cp, --privileged)",
            "write the verb and the container: docker logs --tail {int:1-1000} {web,db}",
        ),
    ),
    (
        (
            "helm ansible ansible-playbook terraform make cmake ninja rake npm npx yarn pnpm pip "
            "pipx cargo go mvn gradle gem bundle gcc g++ cc gdb lldb"
        ),
        Program("run any code that a file or an option names", _SCRIPT),
    ),
    (
        "apt apt-get aptitude dnf yum rpm dpkg zypper apk snap flatpak",
        Program(
            "run code as root from a package or an option, and start a pager",
            "write the verb and the exact packages: apt-get -y install nginx",
        ),
    ),
    (
        "sudo doas su runuser pkexec run0",
        Program(
            "run the program behind it as another account",
            "grant a login that may do it, or fix every word behind it",
            carrier=True,
        ),
    ),
    (
        (
            "env nice ionice nohup setsid stdbuf timeout time taskset chrt flock chroot unshare "
            "nsenter strace ltrace watch systemd-run script setpriv"
        ),
        Program(_CARRIES, _BEHIND, carrier=True),
    ),
    ("screen tmux byobu", Program("open shells that outlive the session", _SHELLS_INSTEAD)),
    (
        "crontab at batch",
        Program("have any command run later", "let somebody with a shell write the table"),
    ),
    (
        "tee dd cp mv install ln truncate patch split",
        Program(
            "write any file that the login may write, ~/.ssh/authorized_keys too",
            "fix the path that is written to, or use --sftp write:/DIR/**",
        ),
    ),
    (
        "chmod chown chgrp setfacl mount umount insmod modprobe",
        Program("change who may do what", "fix the whole line"),
    ),
    (
        "top htop atop iotop",
        _tamed("end processes, and run programs by keys", "write top -b -n 1", ["-b"]),
    ),
    (
        "tcpdump tshark",
        Program("run a program (-z) and write files (-w)", "fix all options"),
    ),
)
