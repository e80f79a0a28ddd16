"""Why a pod does not run, and whose matter it is: of its conditions and containers, and of the warnings about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from caasctl.frozen import dataclass
from caasctl.syntax.live.pods import Container, Event, Pod

_PULLS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
)
_SYSTEM = re.compile(
    r"kube-.*|.*-system|.*-operator|caasctl.*|nvidia.*|kata.*|cilium.*|node-feature-discovery|local-path-storage"
)
_LOOKS = "kubectl -n {ns} describe pod {name}"
_LOG = "kubectl -n {ns} logs {name} -c {container} --previous"


class Whose(str, Enum):
    """APPLICATION: what runs in it ended by itself. AUTHOR: what the pod asks for is not there, or not right. NODE: the rest."""

    NODE = "node"
    APPLICATION = "application"
    AUTHOR = "author"
    WAITING = "waiting"


class Stage(str, Enum):
    """How far a pod came, in the order of a pod's start."""

    PLACED = "scheduled"
    ADMITTED = "admitted by the kubelet"
    VOLUMES = "volumes mounted"
    SANDBOX = "sandbox created"
    IMAGE = "image pulled"
    STARTED = "containers started"
    READY = "ready"


@dataclass(frozen=True)
class Why:
    """said: in the words of scheduler and kubelet. cause, fix: of ours."""

    whose: Whose
    stage: Stage
    said: str
    cause: str = ""
    fix: str = ""
    container: str = ""


class _Known(NamedTuple):
    phrase: str
    whose: Whose
    cause: str
    fix: str


_UNPLACED = (
    _Known("node.kubernetes.io/not-ready", Whose.NODE, "No node is ready, so none takes pods.",
           "make the node ready: `caasctl doctor --check kubernetes.node_ready`"),
    _Known("node.kubernetes.io/disk-pressure", Whose.NODE, "The node has too little disk, and takes no pods until it has more.",
           "df -h /var/lib/kubelet /var/lib/containerd; remove what is not needed"),
    _Known("node.kubernetes.io/memory-pressure", Whose.NODE, "The node has too little memory, and takes no pods until it has more.",
           "kubectl top pods -A --sort-by=memory; end what takes the memory"),
    _Known("node.cilium.io/agent-not-ready", Whose.NODE, "Cilium's agent has not taken its taint off the node: it is not ready yet.",
           "kubectl -n kube-system logs ds/cilium -c cilium-agent --tail=50"),
    _Known("node.kubernetes.io/unreachable", Whose.NODE, "The kubelet of the node has stopped reporting.", "systemctl status kubelet"),
    _Known("were unschedulable", Whose.AUTHOR, "The node is cordoned.", "kubectl uncordon NODE"),
    _Known("node.kubernetes.io/unschedulable", Whose.AUTHOR, "The node is cordoned.", "kubectl uncordon NODE"),
    _Known("node-role.kubernetes.io/control-plane", Whose.NODE, "The only node is a control plane, which takes no pods of others.",
           "kubectl taint nodes --all node-role.kubernetes.io/control-plane-"),
    _Known("have free ports", Whose.AUTHOR, "Another pod has the host's ports that it asks for: of two replicas on one node only one"
           " can run.", "run no more replicas than there are nodes: kubectl -n {ns} scale {owner} --replicas=1"),
    _Known("unbound immediate persistentvolumeclaims", Whose.AUTHOR, "Its volume is not there yet.",
           "kubectl -n {ns} get pvc; kubectl get storageclass"),
    _Known("persistentvolumeclaim", Whose.AUTHOR, "Its volume is not there.", "kubectl -n {ns} get pvc; kubectl get storageclass"),
    _Known("volume node affinity conflict", Whose.AUTHOR, "Its volume lies on another node.", "kubectl get pv -o wide"),
    _Known("insufficient cpu", Whose.AUTHOR, "The nodes' CPUs are given to other pods.", "ask for less in resources.requests, or end other pods"),
    _Known("insufficient memory", Whose.AUTHOR, "The nodes' memory is given to other pods.", "ask for less in resources.requests, or end other pods"),
    _Known("too many pods", Whose.AUTHOR, "The node has as many pods as its kubelet takes.", "raise maxPods of the kubelet, or end other pods"),
    _Known("insufficient ", Whose.NODE, "No node has so many of these devices to give: its device plugin offers too few, or other pods have them.",
           "kubectl describe nodes: Allocatable and Allocated resources of the device; kubectl get pods -A | grep -i plugin"),
    _Known("node affinity/selector", Whose.AUTHOR, "No node has the labels that the pod, or its RuntimeClass, selects.",
           "kubectl get nodes --show-labels; compare nodeSelector of the pod and scheduling.nodeSelector of its RuntimeClass"),
    _Known("untolerated taint", Whose.AUTHOR, "The nodes have a taint that the pod does not tolerate.",
           "kubectl describe nodes: Taints; add a toleration, or take the taint away"),
)  # fmt: skip
_PULL = (
    *(_Known(phrase, Whose.NODE, "The node does not reach the registry.", "curl -v https://REGISTRY/v2/ on the node; proxy and mirror of containerd")
      for phrase in ("no such host", "i/o timeout", "connection refused", "no route to host", "network is unreachable", "proxyconnect",
                     "tls handshake timeout", "context deadline exceeded", "server misbehaving", "connection reset")),
    _Known("x509", Whose.NODE, "containerd does not trust the registry's certificate.", "put the registry's CA below /etc/containerd/certs.d"),
    _Known("no space left on device", Whose.NODE, "The disk is full.", "df -h /var/lib/containerd; crictl rmi --prune"),
    _Known("toomanyrequests", Whose.NODE, "The registry has limited this address.", "use a mirror or an account of the registry"),
    _Known("couldn't parse image", Whose.AUTHOR, "The image's name is none.", "mend the image's name: {image}"),
    _Known("invalidimagename", Whose.AUTHOR, "The image's name is none.", "mend the image's name: {image}"),
    _Known("no match for platform", Whose.AUTHOR, "The image is not made for this machine.", "use an image for this architecture: {image}"),
    *(_Known(phrase, Whose.AUTHOR, "There is no such image, or it takes a login to see it.",
             "mend the image's name or tag, or add imagePullSecrets: {image}")
      for phrase in ("not found", "manifest unknown", "repository does not exist", "access denied", "unauthorized",
                     "authorization failed", "denied", "authentication required", "errimageneverpull")),
)  # fmt: skip
_START = (
    *(_Known(phrase, Whose.AUTHOR, "The image has no such program: the pod's command is not right for it.", "mend command and args of container {container}")
      for phrase in ("executable file not found", "no such file or directory: unknown", "exec format error", "permission denied: unknown")),
    _Known("", Whose.NODE, "containerd could not start the container.", "journalctl -u containerd --since=-15min | grep -i {name}"),
)  # fmt: skip
_MOUNT = (
    *(_Known(phrase, Whose.AUTHOR, "What the pod mounts is not there.", "kubectl -n {ns} get secrets,configmaps,pvc; create it, or mend the name")
      for phrase in ('secret "', 'configmap "', "references non-existent", "is not a directory", "hostpath type check failed",
                     'persistentvolumeclaim "')),
    _Known("", Whose.NODE, "The kubelet could not mount a volume.", "journalctl -u kubelet --since=-15min | grep -i mount"),
)  # fmt: skip
_NO_TOKEN = "kube-root-ca.crt"  # noqa: S105 - the name of a ConfigMap that the controller manager makes, not the pod's author


def of_system(namespace: str) -> bool:
    """Whether its pods are Kubernetes' own or an operator's, and no tenant's."""
    return _SYSTEM.fullmatch(namespace) is not None


def why(pod: Pod, events: Sequence[Event] = ()) -> Why | None:
    """The first thing in a pod's way; None for one that is well. events: the warnings about it, the last ones first."""
    return None if pod.well else next(_reasons(pod, events))


def _reasons(pod: Pod, events: Sequence[Event]) -> Iterator[Why]:
    if pod.unplaced:
        yield _known(_UNPLACED, Stage.PLACED, pod.unplaced, pod)
    if pod.reason or (pod.phase == "Failed" and not any(one.end for one in pod.containers)):
        yield _refused(pod)
    for one in pod.containers:
        yield from _of_container(one, pod, events)
    yield from _of_events(pod, events)
    last = next((one for one in pod.containers if not one.init and not one.ready and one.running), None)
    if last:
        yield Why(
            Whose.APPLICATION, Stage.READY, f"container {last.name} runs, and is not ready yet", "", _fill(_LOOKS, pod)
        )
    yield Why(
        Whose.WAITING,
        Stage.SANDBOX if pod.node else Stage.PLACED,
        "is being started" if pod.node else "waits for the scheduler",
    )


def _refused(pod: Pod) -> Why:
    said = f"{pod.reason}: {pod.message}".strip(": ") or "failed without a word"
    if pod.reason == "Evicted":
        return Why(Whose.NODE, Stage.ADMITTED, said, "The node ran short of it, and the kubelet ended pods.", f"kubectl -n {pod.namespace} delete pod {pod.name}, once there is room")  # fmt: skip
    if pod.reason in ("NodeAffinity", "NodeSelectorMismatching", "PodToleration"):
        return Why(
            Whose.AUTHOR, Stage.ADMITTED, said, "The node does not fit what the pod asks for.", _fill(_LOOKS, pod)
        )
    return Why(Whose.NODE, Stage.ADMITTED, said, "The kubelet did not take the pod.", f"kubectl -n {pod.namespace} delete pod {pod.name}, once the node is mended")  # fmt: skip


def _of_container(one: Container, pod: Pod, events: Sequence[Event]) -> Iterator[Why]:
    said = f"{one.waiting}: {one.message}".rstrip(": ")
    if one.waiting in _PULLS:
        full = next(
            (event.message for event in events if event.reason == "Failed" and "pull" in event.message.lower()), ""
        )
        reason = f"{said}; {full}" if full and full not in said else said
        yield _known(_PULL, Stage.IMAGE, reason, pod, one)
    elif one.waiting == "CreateContainerConfigError":
        yield Why(Whose.AUTHOR, Stage.STARTED, said, "The container asks for what is not there, or may not run as it wants to.",
                  f"kubectl -n {pod.namespace} get secrets,configmaps; create it, or mend the name", one.name)  # fmt: skip
    elif one.waiting in ("CreateContainerError", "RunContainerError", "PreCreateHookError", "PostStartHookError"):
        yield _known(_START, Stage.STARTED, said, pod, one)
    elif (one.held or pod.phase == "Failed" or one.restarts) and not one.ready and one.end:
        yield _crashed(one, pod)
    elif one.held:
        yield Why(Whose.NODE, Stage.STARTED, said, "", _fill(_LOOKS, pod), one.name)


def _crashed(one: Container, pod: Pod) -> Why:
    """One that never began was not started by the runtime; one that began and ended, ended by itself."""
    end, what = one.end, f"{'init container' if one.init else 'container'} {one.name}"
    assert end is not None  # noqa: S101 - the caller looked
    if end.reason in ("StartError", "ContainerCannotRun"):
        return _known(_START, Stage.STARTED, f"{end.reason}: {end.message}", pod, one)
    times = f", {one.restarts} times" if one.restarts > 1 else ""
    log = _fill(_LOG, pod, one) if one.restarts else _fill(_LOG.removesuffix(" --previous"), pod, one)
    if end.reason == "OOMKilled":
        return Why(Whose.APPLICATION, Stage.READY, f"{what} took more memory than its limit (OOMKilled){times}",
                   "Its own limit, not the node's memory, ended it.", f"raise resources.limits.memory of {one.name}, or see {log}", one.name)  # fmt: skip
    said = f"{what} started and ended by itself with exit code {end.code}{times}"
    return Why(Whose.APPLICATION, Stage.READY, said, "The node did its part; its own log says why.", log, one.name)


def _of_events(pod: Pod, events: Sequence[Event]) -> Iterator[Why]:
    for one in events:
        said = f"{one.reason}: {one.message}"
        if one.reason in ("FailedCreatePodSandBox", "FailedPodSandBoxStatus"):
            yield Why(Whose.NODE, Stage.SANDBOX, said, "The kubelet asked containerd for the pod's sandbox, and got none.",
                      "journalctl -u containerd --since=-15min | grep -i sandbox")  # fmt: skip
        elif one.reason in ("FailedMount", "FailedAttachVolume", "FailedMapVolume"):
            found = _known(_MOUNT, Stage.VOLUMES, said, pod)
            yield Why(Whose.NODE, *_rest(found)) if _NO_TOKEN in said else found
        elif one.reason == "Unhealthy" and any(c.running and not c.ready for c in pod.containers):
            yield Why(
                Whose.APPLICATION, Stage.READY, said, "It runs, and does not answer its own probe.", _fill(_LOOKS, pod)
            )


def _rest(found: Why) -> tuple[Stage, str, str, str]:
    return (
        found.stage,
        found.said,
        "The controller manager has not made what every namespace has.",
        "kubectl -n kube-system get pods",
    )


def _known(rows: Sequence[_Known], stage: Stage, said: str, pod: Pod, one: Container | None = None) -> Why:
    low = said.lower()
    row = next((row for row in rows if row.phrase in low), _Known("", Whose.NODE, "", _LOOKS))
    return Why(row.whose, stage, said, row.cause, _fill(row.fix, pod, one), one.name if one else "")


def _fill(text: str, pod: Pod, one: Container | None = None) -> str:
    kind, _, owner = pod.owner.partition("/")
    if kind == "ReplicaSet":
        kind, owner = "deploy", owner.rpartition("-")[0]
    return text.format(
        ns=pod.namespace, name=pod.name, owner=f"{kind.lower()}/{owner}" if owner else f"pod/{pod.name}",
        container=one.name if one else "", image=one.image if one else "",
    )  # fmt: skip
