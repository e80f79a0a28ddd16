"""ClusterGone: kubeadm reset, run until nothing of it is left. KubeconfigGone: root's kubeconfig of that cluster."""

from __future__ import annotations

from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.kubeadm.member import Member
from caasctl.syntax import kubeadm
from caasctl.syntax.digests import sha256
from caasctl.syntax.kubeconfig import authority, stale

TIMEOUT_S = 900.0  # it stops every pod of the node
_KUBELET = "/var/lib/kubelet"
# What kubeadm reset takes away, the last of it last: as long as one of these is there, a reset was not at its end.
_FILES = (
    *kubeadm.MANIFESTS,
    *(f"{_KUBELET}/{name}" for name in ("config.yaml", "kubeadm-flags.env", "instance-config.yaml", "pki")),
    kubeadm.CA,
    kubeadm.CA_KEY,
    *kubeadm.KUBECONFIGS,
    kubeadm.BOOTSTRAP_CONF,
)
_MEMBER = f"{kubeadm.ETCD}/member"
_EMPTY = "an empty folder that caasctl made"  # a reset that was killed behind the file leaves it
_OF_THIS, _OTHERS = "of this node's cluster", "not as caasctl wrote it for this cluster"


@dataclass(frozen=True)
class ClusterGone:
    """etcd: its data on this host belongs to the cluster that goes."""

    etcd: bool = False
    name: str = "kubeadm:reset"
    then: str = f"`{' '.join(kubeadm.RESET)}`"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        try:
            there = left(host)
            there += (
                [_MEMBER] if self.etcd and host.stat(_MEMBER, follow=False) else []
            )  # what lies beside it is no etcd's
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known("".join(f"{path}\n" for path in there)) if there else Absent()

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Absent()

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - looked at again
        """Where kubeadm died behind etcd's manifest it would leave the data for good: it finds the data by that."""
        if left(host):
            host.execute(*kubeadm.RESET, timeout_s=TIMEOUT_S)
        if self.etcd and host.stat(_MEMBER, follow=False):
            host.execute("rm", "-rf", "--one-file-system", "--", _MEMBER)
        if stays := left(host):
            raise CaasError(f"`{' '.join(kubeadm.RESET)}` ended well and left {', '.join(stays)}",
                            cause="this kubeadm does not reset them", fix="remove them by hand, then run the same command again")  # fmt: skip
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="a cluster that is gone does not come back")


@dataclass(frozen=True)
class KubeconfigGone:
    """own: the file. admin: admin.conf, which is there until the cluster is reset. digests: of what caasctl wrote at `own`.

    folder: the one that caasctl made for it, which goes where nothing else is in it; "" where it was there before.
    """

    own: Member
    admin: Member
    digests: frozenset[str] = field(default=frozenset())
    folder: str = ""
    after: tuple[str, ...] = ()
    secret: bool = True
    reboots: bool = False

    @property
    def name(self) -> str:
        return f"kubeconfig:{self.path}"

    @property
    def path(self) -> str:
        return self.own.path

    def look(self, host: Reader) -> State:
        own, admin = self.own.look(host), self.admin.look(host)
        if isinstance(own, Absent):
            return self._folder(host)
        if not isinstance(own, Known):  # a link, or a folder: none of ours
            return Known(_OTHERS)
        return Known(_OF_THIS if self._ours(own.text, admin) else _OTHERS)

    def _folder(self, host: Reader) -> State:
        try:
            return Known(_EMPTY) if self.folder and host.list(self.folder) == () else Absent()
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def _ours(self, own: str, admin: State) -> bool:
        if sha256(own) in self.digests:
            return True
        return isinstance(admin, Known) and stale(own, admin.text) and authority(own) == authority(admin.text) != ""

    def target(self, now: State) -> State:
        return Absent() if now in (Known(_OF_THIS), Known(_EMPTY)) else now

    def apply(self, host: Writer, now: State) -> Outcome:
        if self.target(now) != now:
            host.remove(self.own.path)
            if self.folder:
                host.remove_folder(self.folder)
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="it speaks to a cluster that is gone")


def left(host: Reader) -> list[str]:
    """What a reset of kubeadm would take away. Raises Unreadable."""
    return [path for path in _FILES if host.stat(path, follow=False)]
