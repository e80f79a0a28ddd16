"""Whether the API server of this node's cluster answers, and whether kubeadm finished there."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader
from caasctl.syntax.kubeadm import ADMIN, ASK, KUBECTL_S, NOT_FOUND


@dataclass(frozen=True)
class ClusterApi:
    """asked: there is an admin.conf to ask by. answers: the API server does. configuration: the ClusterConfiguration that
    kubeadm uploads once the control plane is up, as YAML; "" where it is not there. said: why there is no answer.
    """

    asked: bool = False
    answers: bool = False
    configuration: str = ""
    said: str = ""


def ask(host: Reader) -> ClusterApi:
    """What the API server says; raises Unreadable where it cannot be asked (no kubectl, no permission, a recording)."""
    if host.stat(ADMIN) is None:
        return ClusterApi()
    done = host.query(*ASK, timeout_s=KUBECTL_S)
    if done.missing:
        raise Unreadable(ADMIN, "is there, but there is no kubectl to ask the API server with")
    said = (done.stderr.strip().splitlines() or ["no answer"])[-1]
    if done.ok or NOT_FOUND in done.stderr:
        return ClusterApi(asked=True, answers=True, configuration=done.stdout, said="" if done.ok else said)
    if "permission denied" in done.stderr:
        raise Unreadable(ADMIN, "permission denied (needs root)")
    return ClusterApi(asked=True, said=said)


PROBES: tuple[Probe, ...] = (Probe(ClusterApi, ask),)
