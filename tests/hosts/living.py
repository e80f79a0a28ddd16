"""What a node that runs says when doctor asks: journals, containers, services and the cluster's objects, each free to be changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from caasctl.facts import cilium_status, kubernetes_live, kubernetes_readyz, os_journal, os_services
from caasctl.syntax.cri import ENDPOINT, STATUS
from caasctl.syntax.kubeadm import ADMIN

OBJECTS = Path(__file__).parents[1] / "recordings/cluster-healthy/objects.yaml"
NODE, ADDRESS = "gpu-08", "192.168.40.17"
NOW = datetime(2026, 11, 27, 12, 27, 21, tzinfo=timezone.utc)  # of the recording
BOOT = NOW - timedelta(seconds=182441)
CLASSES = ("kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu")
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
PIDS = {"kubelet": 2210, "containerd": 1190, "kata": 4400, "kernel": 0, "systemd": 1}
# Said once at every start of a healthy node: the API server is a pod of the kubelet that asks for it.
AT_BOOT = (
    ("kubelet", 62, 'I1125 09:47:43.110000    2210 server.go:533] "Kubelet version" kubeletVersion="v1.36.4"'),
    ("kubelet", 63, f'E1125 09:47:44.120000    2210 kubelet_node_status.go:111] "Unable to register node with API server" err="Post \\"https://{ADDRESS}:6443/api/v1/nodes\\": dial tcp {ADDRESS}:6443: connect: connection refused" node="{NODE}"'),
    ("kubelet", 64, 'E1125 09:47:45.130000    2210 kubelet.go:3117] "Container runtime network not ready" networkReady="NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"'),
    ("containerd", 60, 'time="2026-11-25T09:47:41.000000000Z" level=info msg="containerd successfully booted in 0.112345s"'),
    ("containerd", 60, 'time="2026-11-25T09:47:41.000000000Z" level=error msg="failed to load cni during init, please check CRI plugin status before setting up network for pods" error="cni config load failed: no network config found in /etc/cni/net.d: cni plugin not initialized: failed to load cni config"'),
    ("kernel", 1, "Linux version 6.12.48+deb13-amd64 (debian-kernel@lists.debian.org)"),
    ("kernel", 1, "DMAR: IOMMU enabled"),
    ("kernel", 2, "pci 0000:81:00.0: Adding to iommu group 40"),
    ("kernel", 9, "vfio-pci 0000:81:00.0: vgaarb: VGA decodes changed: olddecodes=io+mem,decodes=none:owns=none"),
)  # fmt: skip


def utc(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def since_boot(seconds: float) -> float:
    """Seconds before NOW of what was said so long after the boot."""
    return (NOW - BOOT).total_seconds() - seconds


def _said(speaker: str, seconds_ago: float, text: str, unit: str = "") -> dict[str, str]:
    at = NOW - timedelta(seconds=seconds_ago)
    told = {"__REALTIME_TIMESTAMP": str(int(at.timestamp() * 1_000_000)), "MESSAGE": text, "PRIORITY": "6",
            "SYSLOG_IDENTIFIER": speaker, "_PID": str(PIDS[speaker])}  # fmt: skip
    return told | ({"UNIT": unit} if unit else {})


def _objects() -> list[dict[str, Any]]:
    text = OBJECTS.read_text().replace("node1", NODE).replace("192.0.2.10", ADDRESS)
    text = text.replace("2026-08-15T10:", "2026-11-25T09:").replace("2026-08-15T11:", "2026-11-25T10:")
    found = [one for one in yaml.safe_load(text)["objects"] if one["kind"] != "RuntimeClass"]
    for one in found:
        if one["kind"] == "Node":
            one["metadata"]["labels"] |= {f"caasctl.io/{name}": "true" for name in CLASSES}
            one["status"]["allocatable"]["nvidia.com/pgpu"] = "2"
    return [*found, *(_class(name) for name in CLASSES), *(_static(name) for name in COMPONENTS)]


def _class(name: str) -> dict[str, Any]:
    return {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name,
            "overhead": {"podFixed": {"cpu": "250m", "memory": "320Mi"}},
            "scheduling": {"nodeSelector": {f"caasctl.io/{name}": "true"}}}  # fmt: skip


def _static(name: str) -> dict[str, Any]:
    return running_pod(f"{name}-{NODE}", "kube-system", name, hostNetwork=True)


def running_pod(name: str, namespace: str, container: str, **spec: Any) -> dict[str, Any]:
    """A pod as the API server shows it, well since two days."""
    state = {"name": container, "ready": True, "restartCount": 0, "state": {"running": {"startedAt": utc(170_000)}}, "lastState": {}}  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "uid": f"uid-of-{name}"},
        "spec": {"nodeName": NODE, "containers": [{"name": container, "image": f"registry.k8s.io/{container}:v1"}], **spec},
        "status": {"phase": "Running", "startTime": utc(170_000), "containerStatuses": [state],
                   "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def container(
    name: str, number: int, *, state: str = "RUNNING", attempt: int = 0, ago: float = 182_000
) -> dict[str, Any]:
    """As `crictl ps -a -o json` lists it."""
    labels = {"io.kubernetes.pod.name": f"{name}-{NODE}", "io.kubernetes.pod.namespace": "kube-system"}
    created = int((NOW - timedelta(seconds=ago)).timestamp() * 1_000_000_000)
    return {"id": f"{number:064x}", "podSandboxId": f"{number + 1000:064x}", "metadata": {"name": name, "attempt": attempt},
            "state": f"CONTAINER_{state}", "createdAt": str(created), "labels": labels}  # fmt: skip


def _service() -> dict[str, str]:
    return {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success", "NRestarts": "0",
            "ExecMainCode": "0", "ExecMainStatus": "0", "ActiveEnterTimestampMonotonic": "61000000"}  # fmt: skip


@dataclass
class Living:
    """Parts of what a healthy node says; a test changes some and asks for `commands`. ends: of a container's id, STATUS."""

    journals: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=_objects)
    containers: list[dict[str, Any]] = field(
        default_factory=lambda: [container(n, at) for at, n in enumerate(COMPONENTS, 1)]
    )
    ends: dict[str, str] = field(default_factory=dict)
    services: dict[str, dict[str, str]] = field(
        default_factory=lambda: {unit: _service() for unit in os_services.UNITS}
    )
    api: str = ""  # why nobody answers; "" where the API server does
    readyz: str = "[+]ping ok\n[+]etcd ok\nreadyz check passed\n"

    def __post_init__(self) -> None:
        for speaker, after, text in AT_BOOT:
            self.say(speaker, text, ago=since_boot(after))

    def say(self, speaker: str, *texts: str, ago: float = 120, every: float = 0, unit: str = "") -> None:
        """Words of a program in the journal; with `every` again each so many seconds from `ago` until now."""
        times = [ago] if not every else [ago - every * turn for turn in range(int(ago // every) + 1)]
        journal = self.journals.setdefault(unit.removesuffix(".service") or speaker, [])
        journal += [_said(speaker, at, text, unit) for at in times for text in texts]

    def event(self, kind: str, name: str, reason: str, message: str, *, namespace: str = "", ago: float = 60) -> None:
        about = {"kind": kind, "name": name, "namespace": namespace}
        self.objects.append(
            {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.{len(self.objects)}", "namespace": namespace or "default"},
             "involvedObject": about, "type": "Warning", "reason": reason, "message": message,
             "source": {"component": "kubelet", "host": NODE}, "count": 7, "lastTimestamp": utc(ago)}
        )  # fmt: skip

    def find(self, kind: str, name: str) -> dict[str, Any]:
        return next(one for one in self.objects if one["kind"] == kind and one["metadata"]["name"].startswith(name))

    def drop(self, kind: str, name: str) -> None:
        self.objects.remove(self.find(kind, name))

    def commands(self) -> list[dict[str, Any]]:
        """As commands.json holds them."""
        return [*self._journals(), *self._runtime(), *self._cluster(), self._services()]

    def _journals(self) -> list[dict[str, Any]]:
        asked = {"kubelet": os_journal.KUBELET, "containerd": os_journal.CONTAINERD, "kata": os_journal.KATA,
                 "kernel": os_journal.KERNEL, "systemd": os_journal.UNITS}  # fmt: skip
        return [
            _answer(argv, "".join(json.dumps(one) + "\n" for one in self._in_order(name)))
            for name, argv in asked.items()
        ]

    def _in_order(self, name: str) -> list[dict[str, str]]:
        return sorted(self.journals.get(name, ()), key=lambda one: int(one["__REALTIME_TIMESTAMP"]))

    def _runtime(self) -> list[dict[str, Any]]:
        crictl = ("/usr/bin/crictl", *ENDPOINT)
        boxes = [{"id": one["podSandboxId"], "state": "SANDBOX_READY", "runtimeHandler": "",
                  "metadata": {"name": one["labels"]["io.kubernetes.pod.name"], "namespace": "kube-system", "uid": "x"}}
                 for one in self.containers]  # fmt: skip
        ended = [
            _answer((*crictl, "inspect", "-o", "go-template", "--template", STATUS, name), said)
            for name, said in self.ends.items()
        ]
        return [_answer((*crictl, "ps", "-a", "-o", "json"), json.dumps({"containers": self.containers})),
                _answer((*crictl, "pods", "-o", "json"), json.dumps({"items": boxes})), *ended]  # fmt: skip

    def _cluster(self) -> list[dict[str, Any]]:
        def listed(*kinds: str, others: bool = False) -> str:
            chosen = [one for one in self.objects if (one["kind"] in kinds) is not others]
            return json.dumps({"apiVersion": "v1", "kind": "List", "items": chosen})

        get = ("kubectl", "--kubeconfig", ADMIN, "--request-timeout=6s", "get")
        asked = {(*get, kubernetes_live.KINDS, "-A", "-o", "json"): listed("Pod", "Event", others=True),
                 (*get, "pods", "-A", "-o", "json"): listed("Pod"), (*get, "events", "-A", "-o", "json"): listed("Event"),
                 kubernetes_readyz.ASK: self.readyz}  # fmt: skip
        no_tool = {
            "argv": list(cilium_status.ASK),
            "rc": 127,
            "stdout": "",
            "stderr": "env: 'cilium': No such file or directory\n",
        }
        return [*(_answer(argv, said, self.api) for argv, said in asked.items()), no_tool]

    def _services(self) -> dict[str, Any]:
        blocks = (
            "".join(f"{key}={value}\n" for key, value in {"Id": unit, **told}.items())
            for unit, told in self.services.items()
        )
        return _answer(os_services.SHOW, "\n".join(blocks))


def _answer(argv: tuple[str, ...], stdout: str, failed: str = "") -> dict[str, Any]:
    if failed:
        return {"argv": list(argv), "rc": 1, "stdout": "", "stderr": failed}
    return {"argv": list(argv), "rc": 0, "stdout": stdout, "stderr": ""}
