"""A bare node: no containerd, no Kubernetes, a folder of packages. Real apt, dpkg and systemd bring them, take them back, and a node comes of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.cluster.tree import PACKAGES
from tests.lab import apt_node
from tests.lab.debian import Unavailable
from tests.vm import steps
from tests.vm.conftest import NewMachine
from tests.vm.image import Kind
from tests.vm.machine import Machine

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.slow]
KEPT = ("containerd", "kubeadm", "kubectl", "kubelet", "runc")
# The lab's programs become packages, with the names and dependencies of the real ones; what dpkg is told of them now goes.
BARE = r"""set -eu
export DEBIAN_FRONTEND=noninteractive
dpkg --purge {fakes} 2>/dev/null
apt-get purge --yes containerd runc
mkdir -p /srv/k8s
deb() {{ # NAME VERSION FILE [DEPENDS]
  root=$(mktemp -d) && mkdir -p "$root/DEBIAN" "$root${{3%/*}}" && mv "$3" "$root$3"
  printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: lab <lab@example.org>\n' "$1" "$2" >"$root/DEBIAN/control"
  [ -z "${{4:-}}" ] || echo "Depends: $4" >>"$root/DEBIAN/control"
  echo 'Description: stand-in' >>"$root/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone --build "$root" "/srv/k8s/$1_$2_amd64.deb"
}}
mkdir -p /opt/cni/bin && echo '#!/bin/sh' >/opt/cni/bin/loopback && chmod +x /opt/cni/bin/loopback
deb kubernetes-cni 1.8.0-1.1 /opt/cni/bin/loopback
deb kubelet {version}-1.1 /usr/bin/kubelet 'iptables (>= 1.4.21), kubernetes-cni (>= 1.2.0), mount, util-linux'
deb kubeadm {version}-1.1 /usr/bin/kubeadm
deb kubectl {version}-1.1 /usr/bin/kubectl
deb cri-tools 1.36.0-1.1 /usr/bin/crictl
cd /srv/k8s
for file in *.deb; do
  dpkg-deb --field "$file"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" "$(sha256sum "$file" | cut -d' ' -f1)"
done >Packages
rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/*
echo 'deb [trusted=yes] file:/srv/debian bookworm main' >/etc/apt/sources.list
"""


def send(machine: Machine, folder: Path, to: str, *names: str) -> None:
    with subprocess.Popen(("tar", "-C", str(folder), "-c", *names), stdout=subprocess.PIPE) as packed:
        subprocess.run(machine.attach(f"mkdir -p {to} && tar -x -C {to}"), stdin=packed.stdout, check=True, timeout=300)


@pytest.fixture(scope="module")
def bare(boot: NewMachine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, str]:
    """A node without any of it, and the command that makes it one."""
    try:
        debs = apt_node.fetch() / "srv/debian"
    except Unavailable as reason:
        pytest.skip(f"no packages of Debian: {reason}")
    machine, folder = boot(Kind("bookworm")), tmp_path_factory.mktemp("repository")
    send(machine, debs, "/srv/debian", ".")
    version = PACKAGES["kubelet"].partition("-")[0]
    machine.sh(BARE.format(fakes=" ".join(PACKAGES), version=version), timeout_s=600)
    (folder / "Packages").write_text(machine.sh("cat /srv/k8s/Packages"))
    fingerprint = apt_node.signed(folder)
    send(machine, folder, "/srv/k8s", "InRelease", "Release.key")
    settings = {"uri": "file:///srv/k8s", "fingerprint": fingerprint, "key": "/srv/k8s/Release.key"}
    told = " ".join(f"--set packages.kubernetes.{name}={value}" for name, value in settings.items())
    assert machine.run("command -v containerd runc kubelet kubeadm kubectl crictl").out == ""
    return machine, f"{steps.INIT} {told} --set boot.iommu=off"  # which needs no other boot


@pytest.mark.minutes(20)  # too long for CI, whose budget is less
def test_a_bare_node_gets_its_packages_gives_them_back_and_becomes_a_node(bare: tuple[Machine, str]) -> None:
    machine, init = bare
    there = "dpkg-query -W -f '${Package} ${db:Status-Abbrev}\\n'"
    before = machine.sh(there)
    steps.said(machine, f"{init} --phase packages", 0)
    assert machine.sh("systemctl is-active containerd").strip() == "active"
    assert tuple(machine.sh("apt-mark showhold").split()) == KEPT
    steps.said(machine, "caasctl undo --yes", 0)
    assert machine.sh(there) == before
    assert machine.run("command -v containerd kubelet").out == ""
    assert machine.sh("ls /etc/apt/sources.list.d").strip() == ""
    steps.said(machine, init, 0)
    assert tuple(machine.sh("apt-mark showhold").split()) == KEPT
    steps.serves(machine, config_version=2)
    steps.is_a_node(machine)
    assert steps.UNCHANGED in steps.said(machine, init, 0).text
