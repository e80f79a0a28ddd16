"""What leave does: it moves this node's pods, resets the node by the phases of reset, and takes its Node object out of the cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from caasctl.facts import cluster_leaving
from caasctl.facts.cluster_leaving import Leaving
from caasctl.host import LiveHost
from caasctl.model import CaasError, Facts, Report, Unreadable, UsageError
from caasctl.needs import leaving as needs
from caasctl.needs.leaving import Wish
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resets import ORDER
from caasctl.resetting import ResetSession
from caasctl.resources.final import Final
from caasctl.resources.leaving import Drained, NodeGone, Parting, PartingForgotten, remembered

Say = Callable[[str], None]
WORD = "leave"
_BY_HAND = "manually remove this etcd member"  # kubeadm reset goes on where it cannot take it out
_MEMBER = (
    "kubeadm could not take this node's etcd member out. On another control plane, at once: `kubectl -n kube-system exec etcd-NODE -- etcdctl "
    "member list`, then `member remove ID`; until then etcd counts a member that is gone."
)


class LeaveSession(ResetSession):
    """A node that leaves its cluster. conf: an administrator's kubeconfig that the user gave, "" for the node's own."""

    def __init__(self, wish: Wish, conf: str = "") -> None:
        super().__init__()
        self._wish = wish
        self._conf = os.path.abspath(conf) if conf else ""
        self._options = [*(["--kubeconfig", self._conf] if conf else []), *_words(wish)]
        self.order: tuple[Phase, ...] = ()
        self._unremoved = False

    def plan(self, phases: Sequence[Phase] = (), words: Sequence[str] = (WORD,)) -> tuple[Facts, Report]:  # noqa: ARG002 - its own
        """Raises RefusedError, UsageError, CaasError."""
        try:
            self.order, first, said = self._phases()
        except Unreadable as unreadable:
            raise CaasError(
                "the node cannot be looked at", cause=str(unreadable), fix="mend that, then run the same command again"
            ) from unreadable
        facts, planned = super().plan(self.order, words)
        self._told = (*said, *self._told)
        return facts, replace(planned, notes=(*first, *self._told))

    def apply(self, phases: Sequence[Phase], facts: Facts, words: Sequence[str], step: Say, hear: Say) -> Report:
        def listen(line: str) -> None:
            self._unremoved |= _BY_HAND in line.lower()
            hear(line)

        return super().apply(phases, facts, words, step, listen)

    def of_cluster(self, facts: Facts) -> Iterator[str]:  # noqa: ARG002 - the notes of leave say it
        yield from ()

    def _notes(self, words: Sequence[str], facts: Facts) -> tuple[str, ...]:
        return (*((_MEMBER,) if self._unremoved else ()), *super()._notes(words, facts))

    def _phases(self) -> tuple[tuple[Phase, ...], tuple[str, ...], tuple[str, ...]]:
        """(the phases, what is said before them only, what stays true afterwards). Raises RefusedError, UsageError, Unreadable."""
        host = LiveHost()
        if self._conf and host.stat(self._conf) is None:
            raise UsageError(
                f"{self._conf} does not exist", cause="--kubeconfig names an administrator's", fix="check the path"
            )
        seen, left = cluster_leaving.read(host, self._conf), remembered(host)
        if left and not seen.whole:  # an earlier run has drained the node and begun to reset it
            first = f"An earlier run began to take {left.node} out of its cluster: this one goes on."
            gone = replace(seen, name=left.node, admin=bool(left.source), registered=True, plane=left.plane, silent="")
            return (*ORDER, _last(left.node, left.source)), (first,), tuple(needs.behind(gone))
        needs.refuse(seen, self._wish)
        return self._from_the_beginning(seen), tuple(needs.before(seen, self._wish)), tuple(needs.behind(seen))

    def _from_the_beginning(self, seen: Leaving) -> tuple[Phase, ...]:
        deletes = seen.admin and not seen.silent
        source = seen.kubeconfig if deletes else ""
        first: list[Resource] = []
        if self._wish.drain and deletes:
            drained = Drained(seen.name, seen.kubeconfig, self._wish.flags, self._wish.wait_s)
            first.append(Final(drained, needs.lost(seen)))
        # Behind the drain: one that fails leaves no copy of an administrator's credentials
        first.append(Final(Parting(seen.name, source, seen.plane)))
        return (
            _phase("leave-drain", "Its pods on other nodes, as far as their budgets let them", first),
            *ORDER,
            _last(seen.name, source),
        )


def _last(node: str, source: str) -> Phase:
    gone: list[Resource] = [Final(NodeGone(node, source))] if source else []
    return _phase("leave-node", "Its Node object out of the cluster", [*gone, Final(PartingForgotten())])


def _phase(name: str, title: str, resources: Sequence[Resource]) -> Phase:
    """Its resources are fixed before the first change: what the cluster says later is of a node that goes."""

    def desired(_facts: Facts, _profile: NodeProfile) -> Iterator[Resource]:
        yield from resources

    return Phase(name, title, desired, reads=(), disturbs=())


def _words(wish: Wish) -> list[str]:
    return [
        *wish.flags,
        *([] if wish.drain else ["--no-drain"]),
        *([] if wish.wait_s == Wish().wait_s else ["--timeout", f"{wish.wait_s:.0f}s"]),
    ]
