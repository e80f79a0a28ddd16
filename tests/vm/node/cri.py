"""A pod through containerd's CRI, as a kubelet starts one, of a local image; prints the cgroups that its processes are in.

The host's network, so that no CNI plugin is asked for. Messages are encoded by hand: numbers of fields from kubernetes/cri-api
pkg/apis/runtime/v1/api.proto.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import grpc

IMAGE = "docker.io/library/lab:1"
BUSYBOX = "/usr/bin/busybox"
PARENT = "kubepods-besteffort-pod11111111_2222_3333_4444_555555555555.slice"
NODE_NAMESPACE = 2
Ask = Callable[[str, bytes], bytes]


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def first_text(message: bytes) -> str:
    """The first field of a message that begins with a text shorter than 128 bytes."""
    return message[2 : 2 + message[1]].decode()


def image(names: list[str], busybox: str = BUSYBOX) -> None:
    """A docker-archive of one busybox, with these names."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(busybox, "bin/busybox")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                         "config": {"Entrypoint": ["/bin/busybox", "sleep", "100000"], "Env": ["PATH=/bin"]}}).encode()  # fmt: skip
    parts = {"config.json": config, "layer.tar": layer.getvalue(),
             "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": names, "Layers": ["layer.tar"]}]).encode()}  # fmt: skip
    with tarfile.open("/run/lab-image.tar", "w") as tar:
        for name, data in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    subprocess.run(
        ("ctr", "-n", "k8s.io", "images", "import", "/run/lab-image.tar"), check=True, stdout=subprocess.DEVNULL
    )


def pod(ask: Ask) -> str:
    """Starts a sandbox and a container in it; returns the sandbox's id, stops neither."""
    metadata = field(1, "lab") + field(2, "11111111-2222-3333-4444-555555555555") + field(3, "default")
    linux = field(1, f"/kubepods.slice/kubepods-besteffort.slice/{PARENT}") + field(
        2, field(1, field(1, NODE_NAMESPACE))
    )
    config = field(1, metadata) + field(8, linux)
    sandbox = first_text(ask("RunPodSandbox", field(1, config)))
    wanted = field(1, field(1, "lab")) + field(2, field(1, IMAGE))
    container = first_text(ask("CreateContainer", field(1, sandbox) + field(2, wanted) + field(3, config)))
    ask("StartContainer", field(1, container))
    return sandbox


if __name__ == "__main__":
    image([sys.argv[1], IMAGE])
    with grpc.insecure_channel("unix:///run/containerd/containerd.sock") as channel:

        def ask(method: str, message: bytes) -> bytes:
            answer: bytes = channel.unary_unary(f"/runtime.v1.RuntimeService/{method}")(message, timeout=120)
            return answer

        started = pod(ask)
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if b"sleep\x00100000" in (place / "cmdline").read_bytes():
                    print((place / "cgroup").read_text(), end="")
            except FileNotFoundError:
                continue
        ask("StopPodSandbox", field(1, started))
        ask("RemovePodSandbox", field(1, started))
