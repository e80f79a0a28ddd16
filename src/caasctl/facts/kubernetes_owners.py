"""Who else brings Kubernetes or a runtime to this host: other distributions, snaps, other CRIs, a kubelet that uses them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.protocol import Probe, Reader
from caasctl.syntax.containerd.host import UNIT_FOLDERS

_SLICES = tuple(f"/sys/fs/cgroup{below}/system.slice" for below in ("", "/systemd", "/unified"))
_DISTRIBUTIONS = {  # units, and what takes it down
    "k3s": (
        ("k3s.service", "k3s-agent.service"),
        ("/usr/local/bin/k3s-uninstall.sh", "/usr/local/bin/k3s-agent-uninstall.sh", "/opt/bin/k3s-uninstall.sh"),
    ),
    "rke2": (
        ("rke2-server.service", "rke2-agent.service"),
        ("/usr/local/bin/rke2-uninstall.sh", "/usr/bin/rke2-uninstall.sh", "/opt/rke2/bin/rke2-uninstall.sh"),
    ),
    "k0s": (("k0scontroller.service", "k0sworker.service"), ("/usr/local/bin/k0s", "/usr/bin/k0s")),
    "microk8s": (
        ("snap.microk8s.daemon-kubelite.service", "snap.microk8s.daemon-containerd.service"),
        ("/snap/bin/microk8s",),
    ),
    "Canonical Kubernetes": (
        ("snap.k8s.kubelet.service", "snap.k8s.containerd.service", "snap.k8s.k8sd.service"),
        ("/snap/bin/k8s",),
    ),
}
_SNAP_FOLDER = "/var/lib/snapd/snaps"
_SNAP_OF = {"microk8s": "microk8s", "Canonical Kubernetes": "k8s"}
_SNAPS = re.compile(
    r"^(kubelet|kubeadm|kubectl|helm|docker|kube-apiserver|kube-controller-manager|kube-scheduler|kube-proxy|etcd)_\w+\.snap$"
)
_RUNTIMES = {"CRI-O": "crio.service", "cri-dockerd": "cri-docker.service"}


@dataclass(frozen=True)
class OtherCluster:
    """A distribution of Kubernetes with its own way of installing. units: those that are there. running: one of them.

    remove: the program that takes it down, "" where it is not there. snaps: files of its snap, of one that is disabled too.
    """

    name: str
    units: tuple[str, ...] = ()
    running: bool = False
    remove: str = ""
    snaps: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether more is left of it than data."""
        return bool(self.units or self.remove or self.snaps)


@dataclass(frozen=True)
class OtherClusters:
    """Those of which a unit, a program or a snap is there."""

    clusters: tuple[OtherCluster, ...] = ()

    def of(self, name: str) -> OtherCluster | None:
        return next((cluster for cluster in self.clusters if cluster.name == name), None)


@dataclass(frozen=True)
class Snaps:
    """Snap packages of Kubernetes' programs and of Docker; they are refreshed by themselves."""

    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class OtherRuntimes:
    """installed: name -> unit of CRIs that are not containerd, as pairs. running: names."""

    installed: tuple[tuple[str, str], ...] = ()
    running: tuple[str, ...] = ()


def has_unit(host: Reader, unit: str) -> bool:
    return any(host.stat(f"{folder}/{unit}") for folder in UNIT_FOLDERS)


def runs(host: Reader, unit: str) -> bool:
    """A running service has a cgroup."""
    return any(host.stat(f"{folder}/{unit}") for folder in _SLICES)


def read_clusters(host: Reader) -> OtherClusters:
    return OtherClusters(tuple(cluster for cluster in _clusters(host) if cluster.installed))


def _clusters(host: Reader) -> Iterator[OtherCluster]:
    for name, (units, programs) in _DISTRIBUTIONS.items():
        there = tuple(unit for unit in units if has_unit(host, unit))
        used = name != "k0s" or bool(there) or host.stat("/var/lib/k0s") is not None  # its program alone does nothing
        remove = next((path for path in programs if host.stat(path)), "") if used else ""
        yield OtherCluster(name, there, any(runs(host, unit) for unit in units), remove, _snaps_of(host, name))


def _snaps_of(host: Reader, name: str) -> tuple[str, ...]:
    snap = _SNAP_OF.get(name)
    files = (host.list(_SNAP_FOLDER) or ()) if snap else ()
    return tuple(f"{_SNAP_FOLDER}/{file}" for file in files if re.fullmatch(rf"{snap}_\w+\.snap", file))


def read_snaps(host: Reader) -> Snaps:
    found = (_SNAPS.match(name) for name in host.list(_SNAP_FOLDER) or ())
    return Snaps(tuple(dict.fromkeys(said[1] for said in found if said)))


def read_runtimes(host: Reader) -> OtherRuntimes:
    installed = tuple((name, unit) for name, unit in _RUNTIMES.items() if has_unit(host, unit))
    return OtherRuntimes(installed, tuple(name for name, unit in installed if runs(host, unit)))


PROBES: tuple[Probe, ...] = (
    Probe(OtherClusters, read_clusters),
    Probe(Snaps, read_snaps),
    Probe(OtherRuntimes, read_runtimes),
)
