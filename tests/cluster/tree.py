"""What a node of stand-ins is made of: the programs, containerd's and kubectl's packages, units, the list of packages."""

from __future__ import annotations

from pathlib import Path

from tests.lab.busybox import APPLETS
from tests.standins.kubernetes import install

KUBELET = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10
[Install]
WantedBy=multi-user.target
"""
# kubernetes/release cmd/krel/templates/latest/kubeadm/10-kubeadm.conf
DROP_IN = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""
MODPROBE = """\
#!/bin/sh
# Stand-in for modprobe on a kernel with everything built in. Source: modprobe(8).
exit 0
"""
TRUE = """\
#!/bin/sh
# Stand-in: {} is there, and nothing that these tests do calls it.
echo "stand-in: {} is not known" >&2
exit 64
"""
SLEEPS = """\
#!/bin/sh
# Process 2, as a machine has it.
sleep 100000
"""
IDLE = ("ethtool", "socat", "conntrack", "ebtables", "tc")
PACKAGES = {"kubelet": "1.36.4-1.1", "kubeadm": "1.36.4-1.1", "kubectl": "1.36.4-1.1", "cri-tools": "1.36.0-1.1", "kubernetes-cni": "1.8.0-1.1",
            "helm": "3.19.0-1"}  # fmt: skip


def make(folder: Path, containerd: Path, runc: Path, busybox: Path) -> None:
    """Everything node.sh wants at STANDINS."""
    links = install.install(folder / "standins", programs=(*install.NODE, *install.SYSTEM, "iptables"))
    install.repository(
        folder / "repository", {"1.20.5": "1.20.0", "1.20.4": "1.20.0", "1.19.11": "1.19.6", "1.18.14": "1.18.12"}
    )
    programs = folder / "usr/bin"
    programs.mkdir(parents=True)
    for link in links.iterdir():
        if link.name != "crictl":  # containerd's phase proves the CRI by a real one; these tests have none
            (programs / link.name).symlink_to(link.resolve())
    texts = {"modprobe": MODPROBE} | {name: TRUE.format(name, name) for name in IDLE}
    for name, text in texts.items():
        _program(programs / name, text)
    (folder / "usr/sbin").mkdir()
    (folder / "usr/sbin/runc").symlink_to(runc)
    image = folder / "usr/lib/standin-busybox"
    image.mkdir(parents=True)
    for applet in APPLETS:
        (image / applet).symlink_to(busybox)
    _program(folder / "kthreadd", SLEEPS)
    units(folder)
    unit = next(containerd.rglob("containerd.service")).read_text()
    (folder / "units/containerd.service").write_text(
        "".join(line for line in unit.splitlines(keepends=True) if "ExecStartPre" not in line)
    )


def units(folder: Path) -> None:
    """The kubelet's unit as its package has it, and what dpkg knows of the packages that are stood in for."""
    (folder / "units/kubelet.service.d").mkdir(parents=True)
    (folder / "units/kubelet.service").write_text(KUBELET)
    (folder / "units/kubelet.service.d/10-kubeadm.conf").write_text(DROP_IN)
    (folder / "dpkg-status").write_text("".join(_stanza(name, version) for name, version in PACKAGES.items()))


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _stanza(name: str, version: str) -> str:
    return f"Package: {name}\nStatus: hold ok installed\nArchitecture: amd64\nVersion: {version}\nDescription: stand-in\n\n"
