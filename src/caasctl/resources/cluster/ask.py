"""How kubectl is asked about caasctl's objects, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from caasctl.model import CommandError, RefusedError, Unreadable
from caasctl.protocol import Reader
from caasctl.syntax import kubeadm
from caasctl.syntax.cluster import kubectl
from caasctl.syntax.cluster.names import MANAGED_BY, MANAGER
from caasctl.syntax.cluster_health import parse_items

Item = Mapping[str, Any]
ADMIN = ("--kubeconfig", kubeadm.ADMIN)


def ref(document: Item) -> str:
    """As `runtimeclass/kata-qemu`: what kubectl calls it, and the plan."""
    return f"{document['kind'].lower()}/{document['metadata']['name']}"


def live(host: Reader, refs: tuple[str, ...], namespace: str) -> dict[str, Item]:
    """Those that are there, in one question. Raises Unreadable."""
    found = _ask(host, "get", *refs, "--namespace", namespace, "--show-managed-fields")
    return {ref(item): item for item in parse_items(found, "kubectl get")}


# What somebody may keep in a namespace; the API server fills it with others itself.
_KEPT = ("secrets", "configmaps", "pods", "daemonsets", "deployments", "replicasets", "statefulsets", "jobs", "cronjobs",
         "services", "persistentvolumeclaims")  # fmt: skip
_CLUSTERS_OWN = "configmap/kube-root-ca.crt"


def foreign(host: Reader, namespace: str) -> tuple[str, ...]:
    """What lies in a namespace and is not caasctl's, as `secret/NAME`; of secrets their names only. Raises Unreadable."""
    argv = ("kubectl", *ADMIN, "--request-timeout=10s", "get", ",".join(_KEPT), "--namespace", namespace,
            "-l", f"{MANAGED_BY}!={MANAGER}", "--ignore-not-found", "-o", "name")  # fmt: skip
    return tuple(name for name in answer(host, argv).split() if name != _CLUSTERS_OWN)


def pods(host: Reader, namespace: str) -> tuple[Item, ...]:
    """Raises Unreadable."""
    return parse_items(_ask(host, "get", "pods", "--namespace", namespace), "kubectl get pods")


def _ask(host: Reader, *words: str) -> str:
    argv = ("kubectl", *ADMIN, "--request-timeout=10s", *words, "--ignore-not-found", "-o", "json")
    return answer(host, argv)


def answer(host: Reader, argv: tuple[str, ...]) -> str:
    """What a question prints. Raises Unreadable."""
    said = host.query(*argv, timeout_s=kubeadm.KUBECTL_S)
    if said.missing:
        raise Unreadable("kubectl", "is not installed")
    if not said.ok:
        raise Unreadable("kubectl get", kubectl.reason(said.stderr))
    return said.stdout


def refuse_without_cluster(host: Reader, path: str, fix: str = "") -> None:
    """path: the kubeconfig that speaks to it. Raises RefusedError where the host is in no cluster."""
    if host.stat(path) is None:
        others = "run the phases before this one too: the same command without --phase and --skip-phases"
        raise RefusedError(
            "this host is in no cluster yet", cause=f"there is no {path} to ask one with", fix=fix or others
        )


def explained(error: CommandError, what: str) -> CommandError:
    """The error of a kubectl that was refused something, with the API server's own reason and what to do."""
    told = kubectl.refusal(error.cause)
    return CommandError(f"{what}: {told.problem}", cause=told.cause, fix=told.fix)
