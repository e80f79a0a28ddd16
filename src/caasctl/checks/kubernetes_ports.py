"""Ports that Kubernetes' own programs listen on: free, or taken by this node's own cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from caasctl.facts.kubernetes import Cluster
from caasctl.facts.kubernetes_manifests import ControlPlane
from caasctl.facts.network_ports import Listener, Listeners
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed
from caasctl.profile import NodeProfile

_API_PORT, _KUBELET_PORT = 6443, 10250


class _Port(NamedTuple):
    """process: the name of the owner that we bring, as the kernel has it: 15 characters at most."""

    number: int
    process: str
    what: str


def _ports(profile: NodeProfile, control_plane: ControlPlane) -> tuple[_Port, ...]:
    kubelet = profile.spec.kubernetes.kubelet.get("port")
    ports = [_Port(kubelet if isinstance(kubelet, int) and kubelet else _KUBELET_PORT, "kubelet", "the kubelet")]
    if not profile.spec.cilium.kubeProxyReplacement:
        ports.append(_Port(10256, "kube-proxy", "kube-proxy's health"))
    if profile.spec.role == "worker":
        return tuple(ports)
    bound = control_plane.arguments.get("kube-apiserver", {}).get("secure-port", "")
    return (
        _Port(int(bound) if bound.isdigit() else _API_PORT, "kube-apiserver", "the API server"),
        *ports,
        _Port(10257, "kube-controller", "the controller manager"),
        _Port(10259, "kube-scheduler", "the scheduler"),
        _Port(2379, "etcd", "etcd"),
        _Port(2380, "etcd", "etcd's peers"),
    )


@check(
    "kubernetes.ports_free",
    "No other program holds a port of Kubernetes",
    reads=(Listeners, Cluster, ControlPlane),
    why="kubeadm stops with `[ERROR Port-6443]: Port 6443 is in use`, and so for each of them.",
    fix="Stop the program that the finding names, or move it to another port.",
    source="https://kubernetes.io/docs/reference/networking/ports-and-protocols/; kubeadm: preflight check Port",
    gates=("kubeadm",),
)
def ports_free(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """`ss -Hltnup`, or /proc/net/tcp without the owners; what this node's own cluster listens on is no obstacle."""
    listeners, ours = facts[Listeners], facts[Cluster].begun
    ports, taken = _ports(profile, facts[ControlPlane]), False
    for port in ports:
        for listener in listeners.on("tcp", port.number):
            if not (ours and listener.process in ("", port.process)):
                taken = True
                yield _taken(port, listener)
                break
    if not taken:
        used = sum(bool(listeners.on("tcp", port.number)) for port in ports)
        numbers = ", ".join(str(port.number) for port in ports)
        yield passed(f"{numbers}: {f'{used} held by this cluster itself' if used else 'free'}")


def _taken(port: _Port, listener: Listener) -> Finding:
    owner = f"{listener.process} (pid {listener.pid})" if listener.process else "a program that only root can see"
    return failed(
        f"held by {owner}, on {listener.address}",
        wanted=f"free for {port.what}",
        subject=f"{port.number}/tcp",
        fix=_stop(port, listener),
        evidence=(Evidence("ss -Hltnup", f"{listener.address}:{port.number} {listener.process}".strip()),),
    )


def _stop(port: _Port, listener: Listener) -> Fix:
    if listener.process == "kubelet":
        return Fix("systemctl stop kubelet")  # one that somebody started before kubeadm: kubeadm starts it again
    if listener.pid:
        return Fix(f"systemctl stop $(ps -o unit= -p {listener.pid})")
    return Fix(f"ss -ltnp 'sport = :{port.number}' as root names it; stop that program", FixKind.EDIT)


CHECKS: tuple[Check, ...] = (ports_free,)
