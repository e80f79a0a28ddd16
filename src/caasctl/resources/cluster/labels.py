"""NodeLabels: what this node says of itself in its cluster, put there with the kubelet's own rights."""

from __future__ import annotations

from collections.abc import Mapping

from caasctl.formats import FormatError, parse_json
from caasctl.frozen import dataclass
from caasctl.model import CommandError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.cluster import ask
from caasctl.syntax import kubeadm
from caasctl.syntax.cluster.names import MANAGER

_CONFIG = ("--kubeconfig", kubeadm.KUBELET_CONF)
_TRUE = "true"


@dataclass(frozen=True)
class NodeLabels:
    """wanted: keys that are `true`. known: every key that caasctl may have put there; no other is looked at."""

    node: str
    wanted: tuple[str, ...]
    known: tuple[str, ...]
    name: str = "cluster:labels"
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False

    def look(self, host: Reader) -> State:
        try:
            if host.stat(kubeadm.KUBELET_CONF) is None:  # in no cluster yet
                return _state({})
            argv = ("kubectl", *_CONFIG, "--request-timeout=10s", "get", "node", self.node, "-o", "json")
            labels = parse_json(ask.answer(host, argv), "kubectl")["metadata"].get("labels") or {}
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        except (FormatError, KeyError, TypeError, AttributeError):
            return Unknown("kubectl get node did not print what Kubernetes prints")
        return _state({key: str(labels[key]) for key in self.known if key in labels})

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else _state(dict.fromkeys(self.wanted, _TRUE))

    def apply(self, host: Writer, now: State) -> Outcome:
        ask.refuse_without_cluster(host, kubeadm.KUBELET_CONF)
        there = _labels(now)
        try:
            host.execute(*self._argv(there, dict.fromkeys(self.wanted, _TRUE)))
        except CommandError as error:
            raise ask.explained(error, f"the node {self.node} is not labelled") from error
        return Done()

    def undo(self, now: State) -> Undo:
        there, wanted = _labels(now), dict.fromkeys(self.wanted, _TRUE)
        return Undo(commands=(self._argv(wanted, there),)) if there != wanted else Undo(nothing="they stay")

    def _argv(self, there: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
        words = [f"{key}={value}" for key, value in wanted.items() if there.get(key) != value]
        words += [f"{key}-" for key in there if key not in wanted]
        return ("kubectl", *_CONFIG, "label", "node", self.node, *words, "--overwrite", f"--field-manager={MANAGER}")


def _state(labels: Mapping[str, str]) -> State:
    return Known("".join(f"{key}={labels[key]}\n" for key in sorted(labels))) if labels else Absent()


def _labels(state: State) -> dict[str, str]:
    rows = state.text.splitlines() if isinstance(state, Known) else []
    return {key: value for key, _, value in (row.partition("=") for row in rows)}
