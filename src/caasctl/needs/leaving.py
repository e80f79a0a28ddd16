"""Whether a node may leave its cluster, what is lost with it, and what stays behind in the cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from caasctl.facts.cluster_leaving import Leaving
from caasctl.frozen import dataclass
from caasctl.model import RefusedError
from caasctl.syntax import kubeadm
from caasctl.syntax.live.evictions import Kind, Moved, left

_SHOWN = 6
_API = "`crictl ps -a --name kube-apiserver` shows whether it runs, `caasctl doctor` why not; then run the same command again"


@dataclass(frozen=True)
class Wish:
    """force: pods that nobody makes again may go. scratch: so may what is in emptyDir volumes. drain: pods are moved first.

    wait_s: for how long they may take.
    """

    force: bool = False
    scratch: bool = False
    drain: bool = True
    wait_s: float = 600.0

    @property
    def flags(self) -> tuple[str, ...]:
        """Of kubectl drain."""
        return (*(("--force",) if self.force else ()), *(("--delete-emptydir-data",) if self.scratch else ()))


def refuse(seen: Leaving, wish: Wish) -> None:
    """Raises RefusedError, before anything is changed."""
    if not seen.kubeconfig:
        raise RefusedError("this host is in no cluster", cause=f"there is no {kubeadm.KUBELET_CONF}",
                           fix="`caasctl reset` takes away what of caasctl's is left here")  # fmt: skip
    if not seen.whole:
        raise RefusedError("only a part of a cluster is here", cause=f"some of kubeadm's files in {kubeadm.BASE} or the kubelet's are gone",
                           fix="`caasctl reset` takes away the rest; on a control plane `kubectl delete node` its Node object")  # fmt: skip
    if not seen.silent:
        _refuse_stranger(seen)
    if seen.plane:
        _refuse_plane(seen)
    elif seen.silent and wish.drain:
        raise RefusedError("the cluster cannot be asked, so the node cannot be drained", cause=seen.silent,
                           fix="mend that; or `--no-drain`: what runs here is then killed, and its Node object stays")  # fmt: skip
    if wish.drain and not seen.silent:
        _refuse_drain(seen, wish)


def _refuse_stranger(seen: Leaving) -> None:
    """What follows counts control planes and pods by this node's name: another cluster's would be counted, drained, deleted."""
    if not seen.registered:
        raise RefusedError(f"the cluster that {seen.kubeconfig} leads to has no node {seen.name}",
                           cause="this host had another name when it joined, the Node object was deleted, or the kubeconfig is of another cluster",
                           fix="`kubectl get nodes -o wide` shows by its address which node this host is: give it that name again (`hostnamectl set-hostname`); "
                           "if it is none any more, `caasctl reset` takes away what is here")  # fmt: skip
    if seen.another:
        raise RefusedError(f"the node {seen.name} of the cluster that {seen.kubeconfig} leads to is another machine", cause=seen.another,
                           fix="take a kubeconfig of this node's own cluster, or give this host the name that it has there")  # fmt: skip


def _refuse_plane(seen: Leaving) -> None:
    if seen.silent:
        raise RefusedError(
            "the API server does not answer, so nobody knows whether etcd can spare this member",
            cause=seen.silent,
            fix=_API,
        )
    others = [name for name in seen.planes if name != seen.name]
    if not others:
        raise RefusedError("this is the last control plane: the cluster would be gone", cause="no other Node is labelled as a control plane",
                           fix="`caasctl reset` takes the cluster down; or join another control plane first, by `caasctl token create --control-plane`")  # fmt: skip
    if not seen.etcd:
        return
    rest = [member for member in seen.members if member.node != seen.name]
    ready = sum(member.ready for member in rest)
    needed = len(rest) // 2 + 1
    if ready < needed:
        down = ", ".join(member.node for member in rest if not member.ready) or "none is known"
        raise RefusedError(
            "etcd would lose its quorum, and the cluster with it",
            cause=f"of the {len(rest)} members that would be left {ready} are ready, {needed} must be; not ready: {down}",
            fix="bring those back, or take a dead one out of etcd: `kubectl -n kube-system exec etcd-NODE -- etcdctl member list`, `member remove ID`",
        )


def _refuse_drain(seen: Leaving, wish: Wish) -> None:
    goes = left(seen.pods, closed=seen.closed)
    if goes and not seen.admin:
        drain = " ".join(("kubectl drain", seen.name, "--ignore-daemonsets", *wish.flags))
        raise RefusedError(
            f"this node's own credentials cannot drain it: {counted(goes)} run here",
            cause=f"a kubelet may not see DaemonSets and budgets; here are {_named(goes)}",
            fix=f"on a control plane: `{drain}`, then the same command here; or give an administrator's kubeconfig with --kubeconfig FILE",
        )
    bare = [pod for pod in goes if pod.kind is Kind.BARE]
    if bare and not wish.force:
        raise RefusedError(f"nobody makes {'this pod' if len(bare) == 1 else 'these pods'} again: {_named(bare)}",
                           cause="they have no owner (ReplicaSet, StatefulSet, Job), so a drain ends them for good",
                           fix="move them yourself, or add --force")  # fmt: skip
    scratch = [pod for pod in goes if pod.scratch and pod.kind is not Kind.DONE]
    if scratch and not wish.scratch:
        volumes = "; ".join(f"{pod.full} ({', '.join(pod.scratch)})" for pod in scratch[:_SHOWN]) + _more(scratch)
        raise RefusedError(f"data in emptyDir volumes would be lost: {volumes}", cause="an emptyDir lives on the node, and goes with the pod",
                           fix="save it, or add --delete-emptydir-data")  # fmt: skip


def lost(seen: Leaving) -> str:
    """What a drain ends for good, "" where nothing is."""
    goes = [pod for pod in left(seen.pods, closed=seen.closed) if pod.kind is not Kind.DONE]
    said = [("pods that nobody makes again:", [pod for pod in goes if pod.kind is Kind.BARE])]
    said += [("emptyDir volumes of", [pod for pod in goes if pod.scratch])]
    return "; ".join(f"{what} {_named(pods)}" for what, pods in said if pods)


def before(seen: Leaving, wish: Wish) -> Iterator[str]:
    """What is to be known before the yes: where pods go, what holds them, what stays on this node's disk."""
    goes = left(seen.pods, closed=seen.closed)
    if wish.drain and not seen.silent:
        yield f"Pods that go elsewhere: {counted(goes)}{f', {_named(goes)}' if goes else ''}; for at most {wish.wait_s:.0f} s."
    elif goes:
        yield f"No pod is moved: {counted(goes)} here {'is' if len(goes) == 1 else 'are'} killed, {_named(goes)}."
    for budget in seen.budgets:
        held = [pod for pod in goes if budget.holds(pod)]
        if held and wish.drain:
            yield (f"The budget {budget.full} would hold {_named(held)}: {budget.healthy} healthy, {budget.wanted} must stay. The drain tries again "
                   "until its time is up.")  # fmt: skip
    twice = [pod for pod in goes if sum(budget.selects(pod) for budget in seen.budgets) > 1]
    if twice and wish.drain:
        yield f"More than one budget selects {_named(twice)}: the API server evicts no such pod. Delete one of the budgets."
    local = [pod for pod in goes if any((pod.namespace, claim) in seen.local for claim in pod.claims)]
    if local:
        yield f"Volumes on this node's own disk hold {_named(local)} here: they start nowhere else, and the data stays on this disk."
    paths = [pod for pod in goes if pod.paths]
    if paths:
        yield f"Of the host's own files use {_named(paths)}: what they wrote stays here."
    if len([name for name in seen.planes if name != seen.name]) == 1 and seen.plane:
        yield "One control plane is left: its etcd has no copy from then on, and the next failure takes the cluster down."


def behind(seen: Leaving) -> Iterator[str]:
    """What remains in the cluster once the node has left, with the commands that take it away."""
    node = seen.name
    if seen.registered or seen.silent:
        if seen.admin and not seen.silent:
            yield f"The Node object {node} is deleted at the end, and with it the CiliumNode of that name."
        else:
            yield (f"The Node object stays, this node's credentials cannot delete it. On a control plane: `kubectl delete node {node}`; the CiliumNode "
                   f"goes with it, else `kubectl delete ciliumnode {node}`.")  # fmt: skip
    yield "Bootstrap tokens stay until they end: on a control plane `caasctl token list`, `kubeadm token delete ID`."
    if seen.plane:
        yield f"Take this node out of the load balancer before {seen.endpoint or 'the API servers'}: it answers there no more."
        yield "Certificates that were issued for this node stay valid until they end: Kubernetes takes none back."
    else:
        yield "The kubelet's client certificate stays valid until it ends: Kubernetes takes none back; kubeadm reset deletes its key here."


def counted(pods: Sequence[Moved]) -> str:
    return f"{len(pods)} pod{'' if len(pods) == 1 else 's'}" if pods else "none"


def _named(pods: Sequence[Moved]) -> str:
    return ", ".join(pod.full for pod in pods[:_SHOWN]) + _more(pods)


def _more(pods: Sequence[Moved]) -> str:
    return f" and {len(pods) - _SHOWN} more" if len(pods) > _SHOWN else ""
