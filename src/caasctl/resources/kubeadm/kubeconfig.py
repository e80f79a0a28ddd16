"""Kubeconfig: admin.conf for a person, in the home directory; one that speaks to another cluster stays."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Absent, Done, FileKind, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.kubeadm.member import Member, before
from caasctl.syntax.kubeadm import ADMIN
from caasctl.syntax.kubeconfig import stale

MODE = 0o600
_AS_ADMIN, _OTHER, _MISSING, _STALE = "as admin.conf", "of another cluster", "not there", "of an earlier cluster"


@dataclass(frozen=True)
class Kubeconfig:
    """own: the file in .kube below a home. admin: admin.conf. uid, gid: whose it is."""

    own: Member
    admin: Member
    uid: int = 0
    gid: int = 0
    after: tuple[str, ...] = ()
    secret: bool = True
    reboots: bool = False

    @property
    def path(self) -> str:
        return self.own.path

    @property
    def owner(self) -> tuple[int, int]:
        """Whose the file is once it is written, for the record."""
        return (self.uid, self.gid)

    @property
    def name(self) -> str:
        return f"kubeconfig:{self.path}"

    def look(self, host: Reader) -> State:
        """The file's and admin.conf's texts are parts, which are never shown: they hold a key."""
        admin, own = self.admin.look(host), self._own(host)
        if isinstance(admin, Absent):
            return Unknown("known once kubeadm has written admin.conf")
        for state in (admin, own):
            if isinstance(state, Unknown):
                return state
        return Known(_word(own, admin), parts=((self.path, own), (ADMIN, admin)))

    def _own(self, host: Reader) -> State:
        """A folder that is a link could lead anywhere, and root would follow it."""
        folder = self.path.rpartition("/")[0]
        try:
            there = host.stat(folder, follow=False)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if there and (there.kind is not FileKind.DIR or there.uid not in (self.uid, 0)):
            return Unknown(f"{folder} is no directory of its user; caasctl writes no key there")
        return self.own.look(host)

    def target(self, now: State) -> State:
        if not isinstance(now, Known) or now.text == _OTHER:
            return now
        admin = dict(now.parts)[ADMIN]
        text = admin.text if isinstance(admin, Known) else ""
        return Known(_AS_ADMIN, parts=((self.path, Known(text, MODE)), (ADMIN, admin)))

    def apply(self, host: Writer, now: State) -> Outcome:
        wanted = dict(now.parts)[ADMIN] if isinstance(now, Known) else None
        if isinstance(wanted, Known):
            host.write(self.path, wanted.text.encode(), MODE, (self.uid, self.gid))
        return Done()

    def undo(self, now: State) -> Undo:
        return Undo({self.path: before(self.own, dict(now.parts)[self.path])} if isinstance(now, Known) else None)


def _word(own: State, admin: State) -> str:
    if not isinstance(own, Known) or not isinstance(admin, Known):
        return _MISSING
    if own.text == admin.text:
        return _AS_ADMIN
    return _STALE if stale(own.text, admin.text) else _OTHER
