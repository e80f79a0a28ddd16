"""Why a pod does not run: what status and events say of it, as problem, cause and fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from caasctl.syntax.cluster.kubectl import AGAIN

Item = Mapping[str, Any]
_WAITS = ("", "ContainerCreating", "PodInitializing")
_LONGEST = 400
_PHASE = "`caasctl init-node --phase {}`"


class Trouble(NamedTuple):
    """problem and cause as clauses. busy: nothing is broken, what the pod asks for is in use. said_at: of an event, which says
    what was, when it was said last; "" where the pod's own state says it, which is as it is now.
    """

    problem: str
    cause: str
    fix: str
    busy: bool = False
    said_at: str = ""


GONE = Trouble("somebody took its pod away", "the pod was made, and the API server does not list it any more",
               f"find out who deletes pods in its namespace (the API server's audit log names him), {AGAIN}")  # fmt: skip


class _Known(NamedTuple):
    pattern: str
    problem: str
    fix: str
    busy: bool = False


# containerd internal/cri/config, core/runtime/v2; kata-containers src/runtime, src/agent; kube-scheduler; kubelet images, cm.
_KNOWN = tuple(
    _Known(*row)
    for row in (
        (r'RuntimeClass(?:es)? (?:[\w.]+ )?"(?P<name>[^"]+)" not found', "there is no RuntimeClass {name} in the cluster",
         f"{_PHASE.format('cluster')} makes it"),
        (r'no runtime for "(?P<name>[^"]+)" is configured', "containerd has no handler {name}",
         f"{_PHASE.format('containerd')} configures it; where its configuration has it, `systemctl restart containerd`"),
        (r"binary not installed|invalid custom binary path", "containerd does not find the handler's shim",
         f"{_PHASE.format('kata')} brings it; `caasctl preflight --check kata.tree` says what is missing"),
        (r"Cannot find usable config file|load TOML config failed", "the handler's configuration is not there",
         f"{_PHASE.format('kata')} writes it"),
        (r"annotation (?P<name>io\.katacontainers\.\S+) is not enabled", "Kata does not allow the annotation {name}",
         "take the annotation away, or allow it in the handler's enable_annotations"),
        (r"stat /dev/vhost-vsock|open /dev/vhost-vsock|open /dev/vhost-net", "a kernel module of KVM's guests is missing",
         f"`modprobe -a vhost_vsock vhost_net`; {_PHASE.format('host')} loads them at every boot"),
        (r"Could not access KVM kernel module|failed to initialize kvm|/dev/kvm", "KVM cannot be used",
         "`caasctl preflight --check kata.kvm` says why"),
        (r"timed out connecting to vsock|Failed to Check if grpc server is working|dial vsock", "the guest did not boot in time",
         "`journalctl -t kata -t containerd --since -10min` shows its console; is virtualization nested, or memory short?"),
        (r"QMP not ready|qmp handshake failed|exiting QMP loop", "QEMU ended as it started",
         "`journalctl -t kata -t containerd --since -10min` has QEMU's own words"),
        (r"(?:hot|cold)_plug_vfio= or (?:hot|cold)_plug_vfio= port is not set", "this handler takes no GPU",
         "give GPU pods runtimeClassName: kata-qemu-nvidia-gpu"),
        (r"group \d+ is not viable", "another function of the GPU's IOMMU group is not on vfio-pci",
         f"{_PHASE.format('gpu')} binds the whole group"),
        (r"has no IOMMU group", "the guest has no IOMMU, and the handler asks for one", "set vfio_mode to guest-kernel for this handler"),
        (r"(?:open|opening) /dev/vfio/\S+: (?:Device or resource busy|device or resource busy)", "another guest holds the GPU",
         "`fuser -v /dev/vfio/*` shows which; delete the pod that was left"),
        (r"unresolvable CDI devices (?P<name>\S+)", "no CDI specification names {name}",
         f"{_PHASE.format('gpu')} writes it; `caasctl preflight --check cdi.stale` says what is wrong"),
        (r"CDI registry refresh failed|CDI device injection failed|GetPodResources failed", "Kata cannot find out which GPU the pod has",
         "`caasctl preflight --check cdi.parses` judges the CDI files; the kubelet must be 1.34 or have KubeletPodResourcesGet"),
        (r"VFIO_MAP_DMA|vfio_dma_map|memory listener initialization failed", "the guest's memory cannot be mapped for the GPU",
         "`caasctl preflight --check gpu.memlock`; is there memory to pin?"),
        (r"BAR \d+: no space|no space for|failed to assign", "the GPU's memory window does not fit in the guest",
         "enable Above 4G decoding in the firmware"),
        (r"kvm run failed Bad address", "the memory that backs guests (/dev/shm) is full", "make /dev/shm larger"),
        (r"toomanyrequests|429 Too Many Requests", "the registry limits pulls",
         "pull through a mirror, or log in at the registry"),
        (r"(?P<host>\S+): no such host|lookup (?P<name>\S+)(?: on \S+)?: (?:i/o timeout|server misbehaving)", "the registry's name cannot be resolved",
         "mend the node's DNS, or name an image in a registry that it reaches (--image, spec.smoke.image)"),
        (r"x509: \S[^\n]*", "the registry's certificate is not trusted", "give containerd the registry's CA (certs.d/HOST/hosts.toml)"),
        (r"(?:401 Unauthorized|403 Forbidden|pull access denied|authorization failed|insufficient_scope)", "the registry wants a login",
         "make the image readable, or give containerd the login"),
        (r"manifest unknown|failed to resolve reference[^\n]*not found|: not found", "the registry has no such image",
         "correct the image's name and tag (--image, spec.smoke.image, spec.gpu.devicePlugin.image)"),
        (r"ErrImagePull|ImagePullBackOff|[Ff]ailed to pull", "the image cannot be pulled",
         "make its registry reachable for containerd (proxy, mirror), import it (`ctr -n k8s.io images import FILE`), or name another"),
        (r"InvalidImageName", "the image's name is none", "correct it (--image, spec.smoke.image)"),
        (r"(?:Insufficient|insufficient) (?P<name>[\w.-]+/[\w.-]*\w)", "no {name} is free on this node",
         "wait until a pod gives one back: `kubectl get pods -A -o wide` shows who runs here", True),
        (r"(?:Insufficient|insufficient) (?P<name>cpu|memory|pods)", "there is not enough {name} free on this node",
         "`kubectl describe node` shows what is taken; pages reserved by hugepages count as taken", True),
        (r"untolerated taint(?:\(s\))?(?: \{(?P<name>[^}]*)\})?", "the node has a taint that the pod does not tolerate",
         "`kubectl describe node` shows it; a node that is not ready, drained or short of something has one"),
        (r"node\(s\) were unschedulable", "the node is cordoned", "`kubectl uncordon NODE`"),
        # of every other node, beside what this one has: so it comes last
        (r"didn't match Pod's node affinity/selector|didn't match node selector", "no node has the labels that the pod asks for",
         f"{_PHASE.format('cluster')} labels this node"),
        (r"violates PodSecurity", "Pod Security forbids the pod", "report this as a bug of caasctl, with this line"),
        (r"failed to setup network for sandbox|NetworkPluginNotReady|plugin type=\"(?P<name>[^\"]+)\"", "the pod gets no network",
         "`kubectl -n kube-system get pods -l k8s-app=cilium` shows whether Cilium is ready"),
        (r"hostPath type check failed: (?P<name>/var/lib/kubelet/\S*[^\s:])", "{name} is not there on the node", "the kubelet makes it: `systemctl status kubelet`"),
        (r"hostPath type check failed: (?P<name>\S+)", "{name} is not there on the node", f"{_PHASE.format('gpu')} brings it"),
        (r"too many open files", "the limit of inotify instances is reached", f"{_PHASE.format('host')} raises it"),
        (r"no space left on device", "a disk is full", "free space: `df -h /var/lib/containerd /var/lib/kubelet`"),
        (r"failed to create shim task: (?P<name>[^\n]{1,160})", "the handler's shim does not start the pod",
         "`journalctl -t kata -t containerd --since -10min` says more"),
        (r"OOMKilled", "it was killed for its memory", "give it more"),
    )
)  # fmt: skip


def trouble(pod: Item, events: Iterable[Item]) -> Trouble | None:
    """None where nothing speaks against it yet."""
    said = [*((text, "") for text in _state(pod)), *_events(pod, events)]
    if not said:
        return None
    for text, at in said:
        known = next((known for known in _KNOWN if re.search(known.pattern, text)), None)
        if known:
            return _explained(known, text)._replace(said_at=at)
    text, at = said[0]
    return Trouble(
        "it does not start", _short(text), "`kubectl describe pod` in its namespace may say more", said_at=at
    )


def refused(text: str) -> Trouble:
    """Of a pod that the API server did not take."""
    known = next((known for known in _KNOWN if re.search(known.pattern, text)), None)
    return _explained(known, text) if known else Trouble("the API server does not take it", _short(text), f"mend what it names, {AGAIN}")  # fmt: skip


def _explained(known: _Known, text: str) -> Trouble:
    found = re.search(known.pattern, text)
    words = {name: value or "" for name, value in found.groupdict().items()} if found else {}
    problem, fix = (re.sub(r"\{(\w+)\}", lambda name: words.get(name[1], name[0]), part) for part in known[1:3])
    return Trouble(problem, _around(text, found), f"{fix}, {AGAIN}", known.busy)


def _around(text: str, found: re.Match[str] | None) -> str:
    """The words around what was found: Go wraps errors, so the reason may stand far behind."""
    line = " ".join(text.split())
    at = line.find(" ".join(found[0].split())) if found else 0
    if len(line) <= _LONGEST or at < 0:
        return _short(line)
    begin = max(0, min(at - _LONGEST // 4, len(line) - _LONGEST))
    return f"{'... ' if begin else ''}{line[begin : begin + _LONGEST]}{' ...' if begin + _LONGEST < len(line) else ''}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 4]} ..."


def _state(pod: Item) -> Iterator[str]:
    """What its status says, most telling first."""
    status = pod.get("status") or {}
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting, ended = ((each.get("state") or {}).get(key) or {} for key in ("waiting", "terminated"))
        last = (each.get("lastState") or {}).get("terminated") or {}
        if str(waiting.get("reason", "")) not in _WAITS:
            yield f"{waiting.get('reason')} {waiting.get('message') or last.get('message') or ''}".strip()
        if ended.get("exitCode"):
            yield f"{ended.get('reason', 'Error')} (exit status {ended['exitCode']}) {ended.get('message') or ''}".strip()
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
    if status.get("phase") == "Failed" and (status.get("reason") or status.get("message")):
        yield f"{status.get('reason', '')} {status.get('message', '')}".strip()


def _events(pod: Item, events: Iterable[Item]) -> Iterator[tuple[str, str]]:
    """Newest first: what each says, and what changes whenever it is said again. Once a pod has its node, why it had none is past."""
    uid, name = pod["metadata"].get("uid"), pod["metadata"].get("name")
    told = [each for each in events if each.get("type") == "Warning" and _is_of(each, uid, name)]
    placed = ("PodScheduled", "True") in {
        (each.get("type"), each.get("status")) for each in (pod.get("status") or {}).get("conditions") or ()
    }
    for event in sorted(told, key=_when, reverse=True):
        if not (placed and event.get("reason") == "FailedScheduling"):
            yield f"{event.get('reason', '')} {event.get('message', '')}".strip(), f"{_when(event)} {_times(event)}"


def _is_of(event: Item, uid: Any, name: Any) -> bool:
    about = event.get("involvedObject") or {}
    return bool(about.get("uid") == uid if about.get("uid") else about.get("name") == name)


def _times(event: Item) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)


def _when(event: Item) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
