"""What a pack is made from here: a signed repository of stand-in packages, a chart, a registry of small images; and a profile for them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.standins.registry import Image, image

VERSION = "v1.36.4"
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
ETCD, COREDNS, PAUSE = "etcd:3.6.11-0", "coredns/coredns:v1.14.2", "pause:3.10.2"
KUBEADM = """\
#!/bin/sh
# Stand-in for kubeadm: its version, and its list of images. Source: cmd/kubeadm/app/cmd/config.go.
set -eu
case "$*" in
  "version -o short") echo v1.36.4 ;;
  "config images list --kubernetes-version v1.36.4 --image-repository registry.k8s.io")
    for name in kube-apiserver:v1.36.4 kube-controller-manager:v1.36.4 kube-scheduler:v1.36.4 kube-proxy:v1.36.4 \
      coredns/coredns:v1.14.2 pause:3.10.2 etcd:3.6.11-0; do echo "registry.k8s.io/$name"; done ;;
  *) echo "stand-in: kubeadm $* is not known" >&2; exit 64 ;;
esac
"""
TEMPLATE = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cilium}
spec:
  template:
    spec:
      containers:
      - name: agent
        image: "quay.io/cilium/cilium:v1.20.5@CILIUM"
{{- if .Values.envoy.enabled }}
      - {name: envoy, args: ["--image: none"]}
      - name: proxy
        image: 'quay.io/cilium/cilium-envoy:v1.36.1'
{{- end }}
      initContainers:
      - image: "quay.io/cilium/cilium:v1.20.5@CILIUM"
        name: config
---
kind: Deployment
apiVersion: apps/v1
metadata: {name: cilium-operator}
spec: {template: {spec: {containers: [{name: o, # one line
        image: quay.io/cilium/operator-generic:v1.20.5}]}}}
"""


@dataclass
class Lab:
    """images: as a registry serves them, by the names without their registry."""

    folder: Path
    images: dict[str, Image]
    fingerprint: str
    chart: Path
    helm: Path

    def settings(self, mirror: str) -> tuple[str, ...]:
        """--set for what lies here."""
        values = (
            f"packages.kubernetes.uri=file://{self.folder}/repository/", f"packages.kubernetes.key={self.folder}/repository/Release.key",
            f"packages.kubernetes.fingerprint={self.fingerprint}", f"cilium.chart={self.chart}", "runtimes=[runc]",
            f"packages.helm.source={self.helm}", f"packages.helm.sha256={hashlib.sha256(self.helm.read_bytes()).hexdigest()}",
            'containerd.registries={"_default": {"mirrors": ["' + mirror + '"]}}',
        )  # fmt: skip
        return tuple(word for value in values for word in ("--set", value))


def make(folder: Path, helm: Path) -> Lab:
    agent = image("cilium", size_bytes=1 << 20)
    names = [*(f"{name}:{VERSION}" for name in KUBERNETES), ETCD, COREDNS, PAUSE, "e2e-test-images/busybox:1.36.1-1",
             "cilium/operator-generic:v1.20.5", "cilium/cilium-envoy:v1.36.1"]  # fmt: skip
    images = {name: image(name) for name in names} | {"cilium/cilium:v1.20.5": agent}
    fingerprint = repository(folder / "repository")
    release = folder / "helm-v4.0.0-linux-amd64.tar.gz"  # pack goes by its hash and looks at nothing in it
    release.write_bytes(b"a release of helm")
    return Lab(folder, images, fingerprint, chart(folder / "chart", agent, helm), release)


def chart(folder: Path, agent: Image, helm: Path, more: str = "") -> Path:
    """Cilium's in small, packed by a real helm. more: lines of its values.yaml."""
    (folder / "cilium/templates").mkdir(parents=True)
    told = {
        "apiVersion": "v2",
        "name": "cilium",
        "version": "1.20.5",
        "appVersion": "1.20.5",
        "kubeVersion": ">= 1.21.0-0",
    }
    (folder / "cilium/Chart.yaml").write_text(json.dumps(told))
    (folder / "cilium/values.yaml").write_text(f"envoy: {{enabled: true}}\n{more}")
    (folder / "cilium/templates/all.yaml").write_text(TEMPLATE.replace("CILIUM", agent.top))
    run(str(helm), "package", str(folder / "cilium"), "--destination", str(folder))
    return folder / "cilium-1.20.5.tgz"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the folder answers."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def repository(folder: Path) -> str:
    """A flat repository that is signed as pkgs.k8s.io's are; returns its key's fingerprint."""
    packages = dict.fromkeys(("kubelet", "kubeadm", "kubectl"), "1.36.4-1.1") | {
        "cri-tools": "1.36.0-1.1",
        "kubernetes-cni": "1.8.0-1.1",
    }
    stanzas = []
    for name, version in packages.items():
        depends = "Depends: kubernetes-cni (>= 1.2.0), ethtool\n" if name == "kubelet" else ""
        files = (
            {"usr/bin/kubeadm": KUBEADM} if name == "kubeadm" else {f"usr/share/doc/{name}/stand-in": "a stand-in\n"}
        )
        stanzas.append(package(folder, name, version, depends, files))
    (folder / "Packages").write_text("\n".join(stanzas))
    return sign(folder)


def package(folder: Path, name: str, version: str, depends: str, files: dict[str, str]) -> str:
    """Its stanza in Packages."""
    tree = folder.parent / "build" / name
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
        (tree / path).chmod(0o755 if "/bin/" in path else 0o644)
    (tree / "DEBIAN").mkdir()
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody\n{depends}Description: stand-in\n"
    )
    (tree / "DEBIAN/control").write_text(control)
    folder.mkdir(exist_ok=True)
    deb = folder / f"{name}_{version}_all.deb"
    run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(deb))
    digest = run("sha256sum", str(deb)).split()[0]
    return f"{control}Filename: {deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"


def sign(folder: Path) -> str:
    digest = run("sha256sum", str(folder / "Packages")).split()[0]
    size = (folder / "Packages").stat().st_size
    (folder / "Release").write_text(
        f"Origin: stand-in\nDate: Thu, 26 Nov 2026 10:00:00 UTC\nSHA256:\n {digest} {size} Packages\n"
    )
    home = folder.parent / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--batch", "--homedir", str(home), "--pinentry-mode", "loopback", "--passphrase", "")
    run(*gpg, "--quick-generate-key", "stand-in <nobody@example.invalid>", "rsa2048", "sign", "never")
    run(*gpg, "--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))
    (folder / "Release.key").write_text(run(*gpg, "--armor", "--export"))
    listed = run(*gpg, "--list-keys", "--with-colons")
    subprocess.run(("gpgconf", "--homedir", str(home), "--kill", "all"), check=False)
    found = re.search(r"^fpr:{9}([0-9A-F]+):", listed, re.MULTILINE)
    assert found
    return found[1]


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False,
                          env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"})  # fmt: skip
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def names_in(tar: Path) -> dict[str, Any]:
    """index.json of an image's file."""
    with tarfile.open(tar) as opened:
        index = opened.extractfile("index.json")
        assert index
        found: dict[str, Any] = json.loads(index.read())
        return found
