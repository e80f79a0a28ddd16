"""Runs inside the namespace of node.sh: CDI files on a real containerd, and a real container that asks for their devices.

Stand-ins for VFIO's nodes: character devices that every kernel has. Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
from tests.containerd import node
from tests.lab import cdi_cases
from tests.vm.node import cri

from caasctl.syntax.cdi import passthrough
from caasctl.syntax.cdi.passthrough import character_device, group

KIND = "nvidia.com/pgpu"
NUMBERS = {
    "vfio/vfio": 5,
    "vfio/12": 7,
    "vfio/devices/vfio3": 9,
    "null": 3,
    "zero": 5,
    "full": 7,
    "random": 8,
    "urandom": 9,
}  # of major 1
ASKED = ("12", "3")
PAUSE = "registry.k8s.io/pause:3.10.2"
CGROUP = "/caasctl-lab"
CDI_DEVICES, EXEC_CMD = 17, 2  # fields of ContainerConfig and ExecSyncRequest


def devices() -> None:
    """A /dev of this namespace's own, with nodes where VFIO would have them."""
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", "/dev"), check=True)
    for name, minor in NUMBERS.items():
        path = Path("/dev", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, minor))


# What a container may not do, or not have, where there is no systemd and perhaps no CAP_SYS_RESOURCE.
FOR_A_CONTAINER = {
    "SystemdCgroup = true": "SystemdCgroup = false",
    "enable_cdi = true": "enable_cdi = true\nrestrict_oom_score_adj = true",
}


def containerd(runc: str) -> None:
    """On what the phase writes, as far as that runs in a container. runc: one that runs on this C library."""
    if node.run("runc", "--version").returncode:
        for place in ("/usr/bin/runc", "/usr/sbin/runc"):
            subprocess.run(("mount", "--bind", runc, place), check=True)
    node.apply()
    for path in Path("/etc/containerd").rglob("*.toml"):
        text = path.read_text()
        for ours, here in FOR_A_CONTAINER.items():
            text = text.replace(ours, here)
        path.write_text(text)
    assert node.run("systemctl", "restart", "containerd.service").returncode == 0


class Pod:
    """A sandbox on the host's network, through the CRI, for containers with CDI devices."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        metadata = cri.field(1, "lab") + cri.field(2, "11111111-2222") + cri.field(3, "default")
        host_network = cri.field(2, cri.field(1, cri.field(1, cri.NODE_NAMESPACE)))
        self._config = cri.field(1, metadata) + cri.field(8, cri.field(1, CGROUP) + host_network)
        self._id = cri.first_text(self.ask("RunPodSandbox", cri.field(1, self._config)))

    def ask(self, method: str, message: bytes) -> bytes:
        answer: bytes = self._channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")(message, timeout=60)
        return answer

    def create(self, name: str, *devices: str) -> str:
        """The id of a created container; raises grpc.RpcError with containerd's words."""
        config = cri.field(1, cri.field(1, name)) + cri.field(2, cri.field(1, cri.IMAGE))
        config += b"".join(cri.field(CDI_DEVICES, cri.field(1, device)) for device in devices)
        asked = cri.field(1, self._id) + cri.field(2, config) + cri.field(3, self._config)
        return cri.first_text(self.ask("CreateContainer", asked))

    def run(self, container: str, *argv: str) -> str:
        """What a command in the container prints: less than 128 bytes."""
        message = cri.field(1, container) + b"".join(cri.field(EXEC_CMD, word) for word in ("/bin/busybox", *argv))
        return cri.first_text(self.ask("ExecSync", message))

    def end(self) -> None:
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            self.ask(method, cri.field(1, self._id))
        for folder in (*Path("/sys/fs/cgroup").glob(f"*{CGROUP}"), Path(f"/sys/fs/cgroup{CGROUP}")):
            if folder.is_dir():
                folder.rmdir()


def injected(busybox: str) -> dict[str, Any]:
    """Our file, a container that asks for all of it, and the nodes as its OCI specification and its processes have them."""
    path = Path(passthrough.path(KIND))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(passthrough.text(KIND, [group("12"), character_device("3")]))
    cri.image([PAUSE, cri.IMAGE], busybox)
    with grpc.insecure_channel("unix:///run/containerd/containerd.sock") as channel:
        try:
            pod = Pod(channel)
        except grpc.RpcError as error:  # no container has been asked for yet, nor a device
            return {"impossible": str(error.details())}
        try:
            return seen(pod)
        finally:
            pod.end()


def seen(pod: Pod) -> dict[str, Any]:
    container = pod.create("with", *(f"{KIND}={name}" for name in ASKED))
    shown = json.loads(node.run("ctr", "-n", "k8s.io", "containers", "info", container).stdout)
    pod.ask("StartContainer", cri.field(1, container))
    nodes = [f"/dev/{name}" for name in NUMBERS if name.startswith("vfio/")]
    return {
        "oci": {
            each["path"]: [each["type"], each["major"], each["minor"]] for each in shown["Spec"]["linux"]["devices"]
        },
        "inside": {path: pod.run(container, "stat", "-c", "%F %t:%T", path).strip() for path in nodes},
        "opened": pod.run(container, "head", "-c", "4", "/dev/vfio/vfio"),
        "unknown": refusal(pod, f"{KIND}=25"),
    }


def refusal(pod: Pod, device: str) -> str:
    try:
        pod.create("without", device)
    except grpc.RpcError as error:
        return str(error.details())
    return ""


def refused(_busybox: str) -> dict[str, Any]:
    """What containerd's own CDI library says of files that break one rule each, a file a rule."""
    folder = Path("/etc/cdi")
    folder.mkdir(exist_ok=True)
    said = {}
    for at, case in enumerate(cdi_cases.BROKEN):
        (folder / f"{at}.json").write_text(json.dumps(case.data))
        done = node.run("ctr", "run", "--rootfs", "--device", "no.such/device=x", "/run", "c")
        (folder / f"{at}.json").unlink()
        said[case.said] = done.stderr
    return said


SCENARIOS = {"injected": injected, "refused": refused}

if __name__ == "__main__":
    devices()
    containerd(sys.argv[3])
    json.dump(SCENARIOS[sys.argv[1]](sys.argv[2]), sys.stdout)
