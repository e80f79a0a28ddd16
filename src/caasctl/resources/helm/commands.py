"""The command lines of helm and kubectl for the one release that caasctl makes, and what they answer."""

from __future__ import annotations

import re
from concurrent.futures import Future
from datetime import datetime
from threading import Thread
from typing import Any

from caasctl.frozen import dataclass
from caasctl.model import RefusedError, Unreadable
from caasctl.protocol import Reader
from caasctl.syntax import cluster_health, helm_release
from caasctl.syntax.cluster_health import Agent, Item
from caasctl.syntax.helm_release import Release

ADMIN = "/etc/kubernetes/admin.conf"
NAME, NAMESPACE = "cilium", "kube-system"
WHERE = ("--namespace", NAMESPACE, "--kubeconfig", ADMIN)
TIMEOUT_S = 300  # of one operation of Helm
_QUERY_S = 30.0  # helm has no time-out of its own, and reads every revision with its values and manifests
_WORKLOADS = ("daemonset/cilium", "deployment/cilium-operator", "deployment/coredns")


@dataclass(frozen=True)
class Chart:
    """name: of a chart in `repository` ("" for one that helm itself was told of), an address oci://..., or a local path."""

    name: str
    repository: str
    version: str

    @property
    def local(self) -> bool:
        return self.name.startswith(("/", "./", "../")) or (self.name.endswith(".tgz") and "://" not in self.name)

    @property
    def argv(self) -> tuple[str, ...]:
        """As `helm upgrade` wants it."""
        if self.local:
            return (self.name,)
        addressed = "://" in self.name or not self.repository
        return (self.name, *(() if addressed else ("--repo", self.repository)), "--version", self.version)

    def refuse_password(self) -> None:
        """Every process of the host can read a command line. Raises RefusedError."""
        for key, url in (("repository", self.repository), ("chart", self.name)):
            if re.search(r"://[^/@\s]*@", url):
                raise RefusedError(
                    f"spec.cilium.{key} holds a password",
                    cause="it would stand in helm's command line, which every user of this host can read",
                    fix="helm repo add cilium URL --username NAME --password-stdin, then repository: '' and chart: cilium/cilium",
                )


@dataclass(frozen=True)
class Seen:
    """What there is of Cilium in the cluster. values: the user's, of the newest revision."""

    release: Release
    values: dict[str, Any]
    agent: Agent | None
    obstacle: str


def see(host: Reader, address: str) -> Seen:
    """Helm and kubectl side by side: each is a start of a large program. Raises Unreadable where one or the API server does not answer."""
    told: Future[tuple[Release, dict[str, Any]]] = Future()
    # not of a pool, whose threads an interrupted plan would wait for
    Thread(target=lambda: _answer(told, host), daemon=True).start()
    found, what = obstacle(host, address)
    found_release, values = told.result()
    return Seen(found_release, values, cluster_health.agent(found), what)


def _answer(told: Future[tuple[Release, dict[str, Any]]], host: Reader) -> None:
    try:
        told.set_result(_release_and_values(host))
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is taken
        told.set_exception(error)


def _release_and_values(host: Reader) -> tuple[Release, dict[str, Any]]:
    found = release(host)
    said = _helm(host, "get", "values", NAME) if found.status else ""
    return found, helm_release.parse_values(said or "null")


def obstacle(host: Reader, address: str) -> tuple[tuple[Item, ...], str]:
    """(workloads, what is not up yet with the kubelet's own reason, "" once all is). Raises Unreadable."""
    nodes = cluster_health.parse_items(_kubectl(host, "get", "nodes"), "kubectl get nodes")
    workloads = cluster_health.parse_items(_kubectl(host, "get", *_WORKLOADS, "--ignore-not-found"), "kubectl get")
    what = cluster_health.obstacle(nodes, workloads, address)
    if what.startswith("no daemonset") or (not what and len(nodes) <= 1):
        return workloads, what
    pods = cluster_health.parse_items(_kubectl(host, "get", "pods"), "kubectl get pods")
    if not what and not cluster_health.ready_here(pods, nodes, address):
        what = "cilium on this node not ready"
    reason = cluster_health.trouble(pods) if what else ""
    return workloads, f"{what}: {reason}" if reason else what


def secret_exists(host: Reader, name: str) -> bool:
    """Whether the cluster holds a secret of that name. Raises Unreadable."""
    return bool(_kubectl(host, "get", f"secret/{name}", "--ignore-not-found", form="name").strip())


def chart_version(host: Reader, chart: Chart) -> str:
    """The version that a local chart says it has. Raises Unreadable."""
    said = host.query("helm", "show", "chart", chart.name, timeout_s=_QUERY_S)
    if not said.ok:
        raise Unreadable(f"helm show chart {chart.name}", _reason(said.stderr))
    return helm_release.parse_chart_version(said.stdout)


def release(host: Reader) -> Release:
    """What helm knows of it. Raises Unreadable."""
    said = host.query("helm", "history", NAME, *WHERE, "-o", "json", timeout_s=_QUERY_S)
    if said.missing:
        raise Unreadable("helm", "is not installed")
    if not said.ok and helm_release.NOT_FOUND in said.stderr:
        return Release()
    if not said.ok:
        raise Unreadable("helm history", _reason(said.stderr))
    return helm_release.parse_history(said.stdout)


def deleted(host: Reader) -> datetime | None:
    """Since when it is being uninstalled, which its history does not say. Raises Unreadable."""
    return helm_release.parse_deleted(_helm(host, "status", NAME))


def _helm(host: Reader, *words: str) -> str:
    said = host.query("helm", *words, *WHERE, "-o", "json", timeout_s=_QUERY_S)
    if not said.ok:
        raise Unreadable(f"helm {' '.join(words)}", _reason(said.stderr))
    return said.stdout


def _kubectl(host: Reader, *words: str, form: str = "json") -> str:
    said = host.query("kubectl", *WHERE, "--request-timeout=10s", *words, "-o", form, timeout_s=_QUERY_S)
    if said.missing:
        raise Unreadable("kubectl", "is not installed")
    if not said.ok:
        raise Unreadable(f"kubectl {' '.join(words[:2])}", _reason(said.stderr))
    return said.stdout


def _reason(stderr: str) -> str:
    """The last line: kubectl and helm print warnings before their error."""
    return (stderr.strip().splitlines() or ["it says nothing"])[-1]
