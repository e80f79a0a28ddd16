"""People with an account on the host, as /etc/passwd has them."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.protocol import Probe, Reader

ACCOUNTS = "/etc/passwd"
_FIELDS = 7
_FIRST_UID, _NOBODY = 1000, 65534


@dataclass(frozen=True)
class User:
    """home: an absolute path, as the file says it."""

    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class Users:
    """root, and users from uid 1000 up; those of a directory service are not in the file."""

    users: tuple[User, ...] = ()

    def named(self, name: str) -> User | None:
        return next((user for user in self.users if user.name == name), None)


def parse_passwd(text: str) -> tuple[User, ...]:
    """Lines of name:password:uid:gid:comment:home:shell; others are passed over."""
    rows = (line.split(":") for line in text.splitlines())
    fit = (row for row in rows if len(row) == _FIELDS and row[2].isdigit() and row[3].isdigit() and row[5][:1] == "/")
    users = (User(row[0], int(row[2]), int(row[3]), row[5]) for row in fit)
    return tuple(user for user in users if user.uid == 0 or _FIRST_UID <= user.uid != _NOBODY)


def read_users(host: Reader) -> Users:
    return Users(parse_passwd(host.read(ACCOUNTS) or ""))


PROBES: tuple[Probe, ...] = (Probe(Users, read_users),)
