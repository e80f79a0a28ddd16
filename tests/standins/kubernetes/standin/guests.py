"""Pods that run to their end: their commands are really run, with a busybox, in namespaces of their own.

A handler of Kata gets a "guest": the same kernel under another name (setarch's 2.6 personality) and with another boot id, and
the GPUs that the pod asks for below /sys/bus/pci. A handler that containerd does not have configured fails as there.
Sources: kubernetes/kubernetes pkg/kubelet (statuses, termination messages, events, environment of services), containerd
internal/cri/config (`no runtime for ... is configured`).
"""

from __future__ import annotations

import re
import shlex
import socket
import struct
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from . import place
from .client import ApiError, Client

Object = dict[str, Any]
WORK = Path("/run/standin-guests")
BUSYBOX = "/usr/lib/standin-busybox"
DNS = "127.0.0.10"
GPU = ("0x10de", "0x030200", "0x2331")
LAST = 4096  # bytes of a termination message that stay: pkg/util/tail ReadAtMost reads them from the file's end


def offered() -> dict[str, str]:
    """Extended resources, as device plugins offer them: `NAME COUNT` a line, where a test puts them."""
    rows = (line.split() for line in place.setting("resources", "").splitlines())
    return {row[0]: row[1] for row in rows if row}


class Guests:
    def __init__(self) -> None:
        self._run: dict[str, subprocess.Popen[bytes]] = {}
        self._names: Names | None = None

    def status(self, client: Client, pod: Object) -> Object | None:
        """The status that a pod gets next; None where it stays."""
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            return None
        uid, container = pod["metadata"]["uid"], pod["spec"]["containers"][0]
        if uid in self._run:
            return self._seen(pod, container)
        failed = self._sandbox(client, pod)
        if failed:
            _event(
                client,
                pod,
                "FailedCreatePodSandBox",
                f"Failed to create pod sandbox: rpc error: code = Unknown desc = {failed}",
            )
            return _waits(container)
        if self._names is None:
            self._names = Names(client)
        self._run[uid] = _start(client, pod, container)
        return {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": container["name"], "image": container["image"], "ready": True, "restartCount": 0,
                                       "state": {"running": {}}}]}  # fmt: skip

    def collect(self, there: set[str]) -> None:
        """What belongs to no pod any more ends."""
        for uid in set(self._run) - there:
            self._run.pop(uid).kill()

    def _seen(self, pod: Object, container: Object) -> Object | None:
        rc = self._run[pod["metadata"]["uid"]].poll()
        if rc is None:
            return None
        folder = WORK / pod["metadata"]["uid"]
        message = (folder / "termination-log").read_bytes()[-LAST:].decode(errors="replace")
        ended = {
            "exitCode": rc,
            "reason": "Completed" if rc == 0 else "Error",
            **({"message": message} if message else {}),
        }
        state = {
            "name": container["name"],
            "image": container["image"],
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
        return {"phase": "Failed" if rc else "Succeeded", "containerStatuses": [state],
                "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]}  # fmt: skip

    @staticmethod
    def _sandbox(client: Client, pod: Object) -> str:
        """The words of a sandbox that cannot be, "" where it can."""
        wanted = pod["spec"].get("runtimeClassName")
        asked = place.wanted_failure("sandbox") or ""
        if asked and asked.partition(" ")[0] == (wanted or "runc"):
            return asked.partition(" ")[2]
        if not wanted:
            return ""
        handler = (client.find(f"/apis/node.k8s.io/v1/runtimeclasses/{wanted}") or {}).get("handler", "")
        shown = (
            place.setting("handlers", "")
            or subprocess.run(("containerd", "config", "dump"), capture_output=True, text=True, check=False).stdout
        )
        if handler in shown.split() or re.search(rf"runtimes\.['\"]?{re.escape(handler)}['\"]?\]", shown):
            return ""
        return f'failed to get sandbox runtime: no runtime for "{handler}" is configured'


def _waits(container: Object) -> Object:
    state = {"name": container["name"], "image": container["image"], "ready": False, "restartCount": 0,
             "state": {"waiting": {"reason": "ContainerCreating"}}}  # fmt: skip
    return {
        "phase": "Pending",
        "containerStatuses": [state],
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
        ],
    }


def _event(client: Client, pod: Object, reason: str, message: str) -> None:
    meta = pod["metadata"]
    about = {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    folder = f"/api/v1/namespaces/{meta['namespace']}/events"
    body = {"metadata": {"name": f"{meta['name']}.{reason.lower()}", "namespace": meta["namespace"]}, "involvedObject": about, "type": "Warning",
            "reason": reason, "message": message, "lastTimestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}  # fmt: skip
    try:
        client.put(folder, body)
    except ApiError as error:
        if error.code not in (403, 404):  # its namespace ends
            raise


def _start(client: Client, pod: Object, container: Object) -> subprocess.Popen[bytes]:
    uid, spec = pod["metadata"]["uid"], pod["spec"]
    folder = WORK / uid
    (folder / "pci").mkdir(parents=True)
    log = folder / "termination-log"
    log.touch(mode=0o666)
    log.chmod(0o666)
    domain = _domain()
    (folder / "resolv.conf").write_text(
        f"search {pod['metadata']['namespace']}.svc.{domain} svc.{domain} {domain}\nnameserver {DNS}\noptions ndots:5\n"
    )
    steps = [
        "mount --make-rprivate /",
        f"touch /dev/termination-log && mount --bind {log} /dev/termination-log",
        f"mount --bind {folder}/resolv.conf /etc/resolv.conf",
    ]
    guest = bool(spec.get("runtimeClassName")) and not place.wanted_failure("no-guest")
    if guest:
        (folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        steps.append(f"mount --bind {folder}/boot_id /proc/sys/kernel/random/boot_id")
        steps.append(f"mount --bind {_functions(folder / 'pci', container)} /sys/bus/pci/devices")
    user = container.get("securityContext", {}).get("runAsUser", spec.get("securityContext", {}).get("runAsUser", 0))
    host, _, port = client.server.removeprefix("https://").rpartition(":")
    host = place.wanted_failure("service-network") or host.strip("[]")
    own = (f"PATH={BUSYBOX}", f"KUBERNETES_SERVICE_HOST={host}", f"KUBERNETES_SERVICE_PORT={port}")
    program = f"{BUSYBOX}/{container['command'][0].rpartition('/')[2]}"
    words = (*(("setarch", "--uname-2.6") if guest else ()), "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
             "env", "-i", *own, program, *container["command"][1:], *container.get("args", ()))  # fmt: skip
    steps.append("exec " + " ".join(map(shlex.quote, words)))
    with open(folder / "log", "wb") as out:
        return subprocess.Popen(
            ("unshare", "-m", "sh", "-ec", "\n".join(steps)), stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )


def _functions(folder: Path, container: Object) -> Path:
    """The PCI functions of a guest: its own, more where a test asks for them, and a GPU for each that the container asks for."""
    asked = sum(int(number) for name, number in container.get("resources", {}).get("limits", {}).items() if "/" in name)
    if place.wanted_failure("no-gpu-in-guest"):
        asked = 0
    rows = [("0000:00:00.0", ("0x8086", "0x060000", "0x29c0"))]
    rows += [(f"0000:{at + 1:02x}:00.0", GPU) for at in range(asked)]
    more = int(place.setting("functions", "0"))
    rows += [
        (f"0001:{at >> 8:02x}:{at >> 3 & 31:02x}.{at & 7}", ("0x8086", "0x020000", "0x1889")) for at in range(more)
    ]
    for address, told in rows:
        (folder / address).mkdir()
        for name, value in zip(("vendor", "class", "device"), told, strict=True):
            (folder / address / name).write_text(f"{value}\n")
    return folder


def _domain() -> str:
    text = Path("/var/lib/kubelet/config.yaml").read_text(encoding="utf-8")
    found = re.search(r"^clusterDomain: *(\S+)", text, re.MULTILINE)
    return found[1].strip("\"'") if found else "cluster.local"


class Names:
    """CoreDNS, as far as it knows the API server's own service; silent while none of its pods is ready."""

    def __init__(self, client: Client) -> None:
        self._client = Client.of("/etc/kubernetes/kubelet.conf")
        self._server = client.server
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((DNS, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(512)
            if not place.wanted_failure("names"):
                self._socket.sendto(self._answer(query), peer)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 5
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        known = ".".join(labels) == f"kubernetes.default.svc.{_domain()}"
        found = known and kind == 1
        flags = 0x8580 if known else 0x8583
        head = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if found else 0, 0, 0)
        answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton("10.96.0.1") if found else b""
        return head + query[12:end] + answer
