"""What a grant's files say to an operation on the target's real paths. Pure.

Every path here has been resolved by the target: no link is left in it that the operation would
follow. Who resolves, and what a client is told, is in `flows`.
"""

from dataclasses import dataclass

from bastion.files import Files
from recorder import Direction

LOGIN = frozenset(
    ".bash_aliases .bash_login .bash_logout .bash_profile .bashrc .cshrc .environment .forward "
    ".k5login .k5users .kshrc .login .logout .mkshrc .pam_environment .profile .rhosts .shosts "
    ".shrc .ssh .tcshrc .xprofile .xsession .xsessionrc .yashrc .zlogin .zlogout .zprofile "
    ".zshenv .zshrc".split()
)
"""Names that are read at login, or that let somebody log in: written only where they are named."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The files of one grant, and the home of the login: a client may always ask where that is."""

    files: tuple[Files, ...]
    home: bytes = b"/"

    def may(self, direction: Direction, path: bytes) -> bool:
        """Whether this one path may be read, or written."""
        return any(files.matches(path) for files in self._of(direction, path))

    def may_all_below(self, direction: Direction, path: bytes) -> bool:
        """Whether `path` and all that is, or could be, below it may be.

        What a pattern can't say for sure is no: a name with a wildcard in it, or not UTF-8.
        """
        below = _below(path)
        if below is None or not self.may(direction, path):
            return False
        return any(Files(direction, below).within(f) for f in self._of(direction, path))

    def limit(self, direction: Direction, path: bytes) -> int | None:
        """The most bytes that the file may have; None for no limit."""
        limits = [f.limit for f in self._of(direction, path) if f.matches(path)]
        return None if None in limits else max((n for n in limits if n is not None), default=0)

    def visible(self, path: bytes) -> bool:
        """Whether somebody may learn that `path` is there: it is granted, or leads there."""
        return path == self.home or any(f.matches(path) or f.leads(path) for f in self.files)

    def listable(self, path: bytes) -> bool:
        """Whether a directory's names may be asked for, and whether a name is told in a list."""
        reading = [f for f in self.files if f.direction is Direction.READ]
        return any(f.matches(path) or f.leads(path) for f in reading)

    def may_take(self, old: bytes, new: bytes, *, tree: bool) -> bool:
        """Whether what is at `old` may also be had at `new`: by a rename, or by a link.

        Both have to be written; and whoever may not read it where it is may not read it there.
        For a `tree`, all that could be below counts too.
        """
        may = self.may_all_below if tree else self.may
        if not (may(Direction.WRITE, old) and may(Direction.WRITE, new)):
            return False
        return may(Direction.READ, old) or not self._may_read_some(new, tree=tree)

    def may_lead(self, link: bytes, aim: bytes) -> bool:
        """Whether a symbolic link may be at `link` and lead to `aim`.

        All that is granted at the link has to be granted at its aim as well.
        """
        follows = all(self.may(way, aim) or not self.may(way, link) for way in Direction)
        return self.may(Direction.WRITE, link) and follows

    def _may_read_some(self, path: bytes, *, tree: bool) -> bool:
        reading = [f for f in self.files if f.direction is Direction.READ]
        return any(f.matches(path) or (tree and f.leads(path)) for f in reading)

    def _of(self, direction: Direction, path: bytes) -> list[Files]:
        guarded = _guarded(path) if direction is Direction.WRITE else frozenset()
        return [f for f in self.files if f.direction is direction and guarded <= f.named]


def _guarded(path: bytes) -> frozenset[str]:
    """The parts that have to be named; a file system may take capitals for the same name."""
    parts = path.decode("utf-8", "replace").split("/")
    return frozenset(part for part in parts if part.lower() in LOGIN)


def _below(path: bytes) -> str | None:
    try:
        text = path.rstrip(b"/").decode()
    except UnicodeDecodeError:
        return None
    return None if set(text) & {"*", "?"} else text + "/**"
