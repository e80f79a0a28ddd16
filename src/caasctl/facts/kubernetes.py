"""What Kubernetes left on the host: kubelet's configuration, the files of a cluster, other distributions' traces."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import Unreadable
from caasctl.protocol import Probe, Reader

CONFIG = "/var/lib/kubelet/config.yaml"
_FLAGS = (
    ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS"),
    ("/etc/default/kubelet", "KUBELET_EXTRA_ARGS"),
    ("/etc/sysconfig/kubelet", "KUBELET_EXTRA_ARGS"),
)
_BINARIES = ("/usr/bin/kubelet", "/usr/local/bin/kubelet", "/opt/bin/kubelet")
_PACKAGE = re.compile(r"^Package: kubelet\n(?:\S.*\n| .*\n)*?Version: (?:\d+:)?(\d+\.\d+\.\d+)", re.MULTILINE)
_CGROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")
_ENABLED = "/etc/systemd/system/multi-user.target.wants/kubelet.service"
# A path that only one distribution makes.
_OTHERS = (
    ("k3s", "/etc/rancher/k3s"),
    ("k3s", "/var/lib/rancher/k3s"),
    ("rke2", "/etc/rancher/rke2"),
    ("rke2", "/var/lib/rancher/rke2"),
    ("microk8s", "/var/snap/microk8s"),
    ("Canonical Kubernetes", "/var/snap/k8s"),
    ("k0s", "/etc/k0s"),
    ("k0s", "/var/lib/k0s"),
)


@dataclass(frozen=True)
class Kubelet:
    """version: as 1.36.4, "" where only the program can tell. config: /var/lib/kubelet/config.yaml, None where it is not.

    flags: the arguments that its environment files add, in their order. enabled: it starts at boot. running: its
    service has a cgroup, None where that cannot be seen.
    """

    installed: bool
    version: str = ""
    config: Mapping[str, Any] | None = None
    flags: str = ""
    enabled: bool = False
    running: bool | None = None


@dataclass(frozen=True)
class Cluster:
    """Files of a cluster below /etc/kubernetes. others: (distribution, path) of other Kubernetes on this host."""

    admin_conf: bool = False
    kubelet_conf: bool = False
    bootstrap_conf: bool = False
    ca: bool = False
    others: tuple[tuple[str, str], ...] = ()

    @property
    def begun(self) -> bool:
        """Whether kubeadm has been here: a killed run leaves these files too."""
        return self.admin_conf or self.kubelet_conf or self.bootstrap_conf or self.ca


@dataclass(frozen=True)
class StaticPods:
    """File names in /etc/kubernetes/manifests: those of a control plane's node begin with kube-apiserver."""

    manifests: tuple[str, ...] = ()

    @property
    def control_plane(self) -> bool:
        return "kube-apiserver.yaml" in self.manifests


@dataclass(frozen=True)
class EtcdData:
    """Whether /var/lib/etcd holds anything: kubeadm refuses to begin over it."""

    present: bool


def parse_flags(text: str, variable: str) -> str:
    """The value of VARIABLE="..." in an environment file; "" where it is not set."""
    found = re.findall(rf"^\s*{variable}=(.*)$", text, re.MULTILINE)
    if not found:
        return ""
    try:
        return " ".join(shlex.split(found[-1]))
    except ValueError:  # an open quote: systemd takes it as it stands
        return str(found[-1]).strip("\"' ")


def parse_config(text: str) -> Mapping[str, Any]:
    """KubeletConfiguration as data. Raises Unreadable."""
    try:
        data = formats.parse_yaml(text, CONFIG)
    except formats.FormatError as error:
        raise Unreadable(CONFIG, error.problem.removeprefix(f"{CONFIG} ")) from error
    if not isinstance(data, dict):
        raise Unreadable(CONFIG, "is no KubeletConfiguration")
    return data


def read_kubelet(host: Reader) -> Kubelet:
    installed = any(host.stat(path) for path in _BINARIES)
    package = _PACKAGE.search(host.read("/var/lib/dpkg/status") or "") if installed else None
    text = host.read(CONFIG)
    flags = (parse_flags(host.read(path) or "", variable) for path, variable in _FLAGS)
    slices = [path for base in _CGROUPS if host.stat(path := f"{base}/system.slice")]
    return Kubelet(
        installed,
        package.group(1) if package else "",
        None if text is None else parse_config(text),
        " ".join(part for part in flags if part),
        host.stat(_ENABLED, follow=False) is not None,
        any(host.stat(f"{path}/kubelet.service") for path in slices) if slices else None,
    )


def read_cluster(host: Reader) -> Cluster:
    base = "/etc/kubernetes"
    return Cluster(
        admin_conf=host.stat(f"{base}/admin.conf") is not None,
        kubelet_conf=host.stat(f"{base}/kubelet.conf") is not None,
        bootstrap_conf=host.stat(f"{base}/bootstrap-kubelet.conf") is not None,
        ca=host.stat(f"{base}/pki/ca.crt") is not None,
        others=tuple((name, path) for name, path in _OTHERS if host.stat(path)),
    )


def read_static_pods(host: Reader) -> StaticPods:
    names = host.list("/etc/kubernetes/manifests") or ()
    return StaticPods(tuple(name for name in names if not name.startswith(".")))


def read_etcd_data(host: Reader) -> EtcdData:
    return EtcdData(bool(host.list("/var/lib/etcd")))


PROBES: tuple[Probe, ...] = (
    Probe(Kubelet, read_kubelet),
    Probe(Cluster, read_cluster),
    Probe(StaticPods, read_static_pods),
    Probe(EtcdData, read_etcd_data),
)
