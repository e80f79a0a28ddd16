"""kubeadm's preflight checks that a node of stand-ins can be seen by; their names and words.

Source: kubernetes/kubernetes cmd/kubeadm/app/preflight/checks.go, checks_linux.go.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from . import place

Object = dict[str, Any]


class Trouble(NamedTuple):
    name: str
    text: str
    fatal: bool = True


def common(socket_url: str, kubernetes_version: str) -> Iterator[Trouble]:
    yield from _runtime(socket_url)
    for name, fatal in (("ip", True), ("iptables", True), ("mount", True), ("nsenter", True), ("ethtool", False), ("tc", False),
                        ("touch", False)):  # fmt: skip
        if not shutil.which(name):
            yield Trouble(f"FileExisting-{name}", f"{name} not found in system path", fatal)
    if len(Path("/proc/swaps").read_text(encoding="utf-8").splitlines()) > 1:
        yield Trouble("Swap", "swap is supported for cgroup v2 only. The kubelet must be properly configured to use swap. Please refer to "
                      "https://kubernetes.io/docs/concepts/architecture/nodes/#swap-memory, or disable swap on the node", fatal=False)  # fmt: skip
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError as error:
        yield Trouble("Hostname", f'hostname "{name}" could not be reached', fatal=False)
        yield Trouble("Hostname", f'hostname "{name}": {error}', fatal=False)
    yield from _kubelet(kubernetes_version)


def _runtime(url: str) -> Iterator[Trouble]:
    with socket.socket(socket.AF_UNIX) as cri:
        try:
            cri.connect(url.removeprefix("unix://"))
        except OSError as error:
            yield Trouble("CRI", f"could not connect to the container runtime: failed to create new CRI runtime service: validate service "
                          f'connection: validate CRI v1 runtime API for endpoint "{url}": rpc error: code = Unavailable desc = connection '
                          f'error: desc = "transport: Error while dialing: dial unix {url.removeprefix("unix://")}: {error.strerror}"')  # fmt: skip


def _kubelet(kubernetes_version: str) -> Iterator[Trouble]:
    done = subprocess.run(("kubelet", "--version"), capture_output=True, text=True, check=False)
    found = re.search(r"v1\.(\d+)\.", done.stdout)
    if not found:
        yield Trouble(
            "KubeletVersion", f"couldn't get kubelet version: cannot execute 'kubelet --version': {done.stderr.strip()}"
        )
        return
    kubelet, control_plane = int(found[1]), int(kubernetes_version.split(".")[1])
    if kubelet > control_plane:
        yield Trouble("KubeletVersion", f'the kubelet version is higher than the control plane version. This is not a supported version skew '
                      f'and may lead to a malfunctional cluster. Kubelet version: "{done.stdout.split()[-1].lstrip("v")}" Control plane '
                      f'version: "{kubernetes_version.lstrip("v")}"')  # fmt: skip
    enabled = subprocess.run(("systemctl", "is-enabled", "kubelet"), capture_output=True, text=True, check=False)
    if enabled.returncode:
        yield Trouble(
            "Service-kubelet",
            "kubelet service is not enabled, please run 'systemctl enable kubelet.service'",
            fatal=False,
        )


def forwarding(*, ipv6: bool) -> Iterator[Trouble]:
    keys = {"net/ipv4/ip_forward": True, "net/ipv6/conf/default/forwarding": ipv6}
    for key in (key for key, asked in keys.items() if asked):
        path = f"/proc/sys/{key}"
        if not os.path.exists(path):
            yield Trouble(f"FileContent-{path.replace('/', '-')}", f"{path} does not exist")
        elif Path(path).read_text(encoding="utf-8").strip() != "1":
            yield Trouble(f"FileContent-{path.replace('/', '-')}", f"{path} contents are not set to 1")


def ports(*numbers: int) -> Iterator[Trouble]:
    for number in numbers:
        with socket.socket(socket.AF_INET6) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                listener.bind(("::", number))
            except OSError:
                yield Trouble(f"Port-{number}", f"Port {number} is in use")


def absent(*paths: str) -> Iterator[Trouble]:
    for path in paths:
        if os.path.exists(path):
            yield Trouble(f"FileAvailable-{path.replace('/', '-')}", f"{path} already exists")


def control_plane(cluster: Object, port: int) -> Iterator[Trouble]:
    if (os.cpu_count() or 1) < 2:
        yield Trouble("NumCPU", f"the number of available CPUs {os.cpu_count()} is less than the required 2")
    memory = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8"))[0]) // 1024
    if memory < 1700:
        yield Trouble("Mem", f"the system RAM ({memory} MB) is less than the minimum 1700 MB")
    yield from ports(port, 10259, 10257)
    yield from absent(*(f"/etc/kubernetes/manifests/{name}.yaml" for name in
                        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")))  # fmt: skip
    networking = cluster.get("networking", {})
    yield from forwarding(ipv6=any(":" in str(networking.get(key, "")) for key in ("podSubnet", "serviceSubnet")))
    data = cluster.get("etcd", {}).get("local", {}).get("dataDir", "/var/lib/etcd")
    yield from ports(2379, 2380)
    if os.path.isdir(data) and os.listdir(data):
        yield Trouble(f"DirAvailable-{data.replace('/', '-')}", f"{data} is not empty")
    asked = place.wanted_failure("kubeadm-preflight")
    if asked:
        name, _, text = asked.partition(" ")
        yield Trouble(name, text)


def judge(troubles: Iterator[Trouble], ignored: set[str]) -> None:
    """Prints warnings; ends with status 1 where an error is left."""
    errors = []
    for trouble in troubles:
        if not trouble.fatal or trouble.name.lower() in ignored or "all" in ignored:
            print(f"\t[WARNING {trouble.name}]: {trouble.text}", flush=True)
        else:
            errors.append(f"\t[ERROR {trouble.name}]: {trouble.text}")
    if errors:
        said = "\n".join(errors)
        place.stop(f"error: error execution phase preflight: [preflight] Some fatal errors occurred:\n{said}\n[preflight] If you know what "
                   "you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\nTo see the stack trace of this error "
                   "execute with --v=5 or higher")  # fmt: skip
