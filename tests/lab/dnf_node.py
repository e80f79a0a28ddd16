"""A tree with Debian's dnf and rpm for tests to install into, and stand-ins of Kubernetes' packages, signed: below .cache/dnf-node.

It has the paths of a Red Hat, and its os-release; what is installed in it comes from a folder inside it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab import debian
from tests.lab.apt_node import SUITE, bare, run

BASE = debian.CACHE / "dnf-node" / SUITE
IN_BASE = ("dnf", "rpm", "createrepo-c", "gnupg", "curl", "ca-certificates", "python3")
# Docker's is asked for at $releasever/$basearch/stable; dnf takes the first from a package that provides it.
DOCKERS, RELEASE = "containerd.io", "rocky-release"
OF_THE_DISTRIBUTION = ("iproute", "iproute-tc", "iptables", "util-linux", "ethtool", "conntrack-tools", "socat")
PROGRAMS = {"cri-tools": "crictl", "kubernetes-cni": "loopback", DOCKERS: "containerd", "iproute": "ip", "iproute-tc": "tc",
            "util-linux": "mount losetup", "conntrack-tools": "conntrack"}  # fmt: skip
STANDINS = ("kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni")
VERSIONS = ("1.36.1", "1.36.4", "1.36.9")
OS_RELEASE = 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\nPRETTY_NAME="Rocky Linux 9.6 (Blue Onyx)"\n'
RPMS, KEY = "/srv/rpm", "/srv/rpm/key.asc"
_SPEC = """Name: {name}
Version: {version}
Release: 150500.1.1
Summary: stand-in
License: none
BuildArch: noarch
{more}
%description
stand-in
%install
mkdir -p %{{buildroot}}/usr/bin
for program in {programs}; do
printf '#!/bin/sh\\necho Kubernetes v{version}\\n' > %{{buildroot}}/usr/bin/$program
done
%files
%attr(755,root,root) /usr/bin/*
"""
# Debian's rpm looks for a gpg2 that its gnupg does not bring.
_SIGNED = r"""set -eu
export HOME=/root
for spec in /root/*.spec; do rpmbuild --quiet -bb "$spec" >/dev/null; done
gpg --batch --quiet --passphrase '' --quick-generate-key stand-in rsa2048 sign never
docker="/srv/docker/9/$(rpm --eval %{_arch})/stable"
mkdir -p /srv/rpm "$docker" && cp /root/rpmbuild/RPMS/noarch/*.rpm /srv/rpm
rpm -i --nodeps /srv/rpm/rocky-release*.rpm && rm /srv/rpm/rocky-release*
rpmsign --define '__gpg /usr/bin/gpg' --define '_gpg_name stand-in' --addsign /srv/rpm/*.rpm >/dev/null
mv /srv/rpm/containerd.io* "$docker"
mkdir /srv/base
for name in $OF_THE_DISTRIBUTION; do mv /srv/rpm/"$name"-1-* /srv/base; done
for folder in /srv/rpm /srv/base "$docker"; do createrepo_c -q "$folder"; done
mkdir -p /etc/yum.repos.d /etc/pki/rpm-gpg
printf '%s\n' '[base]' name=base baseurl=file:///srv/base gpgcheck=0 >/etc/yum.repos.d/base.repo
gpg --armor --export >/srv/rpm/key.asc
gpg --with-colons --fingerprint | awk -F: '$1 == "fpr" { print $10; exit }' >/srv/rpm/fingerprint
gpgconf --kill all
rm -r /root/rpmbuild /root/.gnupg
"""


def fetch() -> Path:
    """The tree; made where it is not complete. Raises Unavailable with the one reason."""
    debian.require("installing packages in a tree", "mmdebstrap", "unshare")
    with debian.alone("dnf-node"):
        if not debian.is_there(BASE):
            _make(BASE / "tree")
            (BASE / "complete").write_text(SUITE)
    return BASE / "tree"


def _make(tree: Path) -> None:
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    bare(tree, IN_BASE)
    listed = [(name, version) for name in STANDINS for version in VERSIONS]
    listed += [(name, "1") for name in OF_THE_DISTRIBUTION]
    for name, version in (*listed, (DOCKERS, "2.2.6"), (RELEASE, "9.6")):
        more = "Provides: system-release(releasever) = 9" if name == RELEASE else ""
        spec = _SPEC.format(name=name, version=version, programs=PROGRAMS.get(name, name), more=more)
        (tree / f"root/{name}-{version}.spec").write_text(spec)
    (tree / "root/sign.sh").write_text(f"OF_THE_DISTRIBUTION='{' '.join(OF_THE_DISTRIBUTION)}'\n{_SIGNED}")
    inside = 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" sh /root/sign.sh'
    run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", inside, str(tree))
    (tree / "etc/os-release").unlink()
    (tree / "etc/os-release").write_text(OS_RELEASE)


if __name__ == "__main__":
    print(fetch())
