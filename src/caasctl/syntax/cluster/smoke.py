"""What the pods of `caasctl smoke` say of where they ran, and what that proves: one finding for each claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from caasctl.frozen import dataclass
from caasctl.model import Finding, Fix, Level
from caasctl.syntax.cluster.names import GPU_HANDLER
from caasctl.syntax.cluster.pods import Trouble

TITLES = {
    "smoke.runs": "The pod runs to its end",
    "smoke.kernel": "It has the kernel that its handler promises",
    "smoke.names": "It resolves the API server's name by the cluster's DNS",
    "smoke.service_network": "It reaches the API server through the service network",
    "smoke.gpu": "It sees the GPU that it was given",
    "smoke.resources": "The node offers GPUs",
    "smoke.storage": "Pods can have volumes that stay",
}
_VENDORS = {"nvidia.com": "0x10de", "amd.com": "0x1002", "intel.com": "0x8086"}
_GPUS = ("0x03", "0x12")  # displays, processing accelerators


@dataclass(frozen=True)
class Host:
    """release: of the host's kernel. boot: its boot id, which no two running kernels share."""

    release: str
    boot: str


@dataclass(frozen=True)
class Told:
    """What a pod said; "" where it did not. pci: NVIDIA's and display functions as (address, vendor, class, device). end: it came to its last line."""

    release: str = ""
    boot: str = ""
    names: str = ""
    api: str = ""
    pci: tuple[tuple[str, ...], ...] = ()
    end: bool = False


def parse(text: str) -> Told:
    told = Told()
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "kernel":
            told = replace(told, release=rest)
        elif word == "boot":
            told = replace(told, boot=rest)
        elif word == "names":
            told = replace(told, names=rest)
        elif word == "api":
            told = replace(told, api=rest)
        elif word == "pci":
            told = replace(told, pci=(*told.pci, tuple(rest.split())))
        elif word == "end":
            told = replace(told, end=True)
    return told


def proven(handler: str, resource: str, text: str, host: Host) -> Iterator[Finding]:
    """Of a pod that ended, all that it claims."""
    told, subject = parse(text), resource or handler
    if not told.end:
        said = text.strip().splitlines()[-1:] or ["nothing"]
        yield _failed("smoke.runs", subject, f"it ended early, its last word was: {said[0]}", "its last line",
                      "the image lacks sh, uname, nslookup, nc or timeout, as busybox has them",
                      "name one that has busybox: --image IMAGE, or spec.smoke.image")  # fmt: skip
        return
    yield _passed("smoke.runs", subject, "ran to its end")
    yield _kernel(handler, subject, told, host)
    yield from _network(subject, told)
    if resource:
        yield _gpu(resource, told)


def _kernel(handler: str, subject: str, told: Told, host: Host) -> Finding:
    """By the boot id: a guest may well run a kernel of the host's version."""
    if not (told.boot or told.release):
        return _failed("smoke.kernel", subject, "not said", "the name of its kernel",
                       "what the pod said begins after it, or its image has no uname", "name one that has busybox: --image IMAGE, or spec.smoke.image")  # fmt: skip
    same = (told.boot == host.boot) if told.boot and host.boot else told.release == host.release
    own = f"{told.release}, {'the host' if same else 'a kernel of its own'}" + (
        "'s" if same else f" (host: {host.release})"
    )
    if same == (handler == "runc"):
        return _passed("smoke.kernel", subject, own)
    if handler == "runc":
        return _failed("smoke.kernel", subject, own, f"{host.release}, the host's",
                       "pods that name no RuntimeClass do not run on runc: the control plane's own would run in guests",
                       "containerd config dump | grep default_runtime_name")  # fmt: skip
    return _failed("smoke.kernel", subject, own, "a kernel of its own",
                   f"the handler {handler} starts no guest: its pods share the host's kernel with everybody else's",
                   f"containerd config dump | grep -A3 'runtimes.{handler}'")  # fmt: skip


def _network(subject: str, told: Told) -> Iterator[Finding]:
    if told.names == "ok":
        yield _passed("smoke.names", subject, "resolved")
    else:
        yield _failed("smoke.names", subject, told.names or "not tried", "resolved",
                      "CoreDNS does not answer this pod", "kubectl -n kube-system get pods -l k8s-app=kube-dns -o wide")  # fmt: skip
    if told.api == "ok":
        yield _passed("smoke.service_network", subject, "connected")
    else:
        yield _failed("smoke.service_network", subject, told.api or "not tried", "connected",
                      "nothing turns the service's address into the API server's: no kube-proxy, Cilium not in its place, or, for a "
                      "guest, Cilium's socket load balancer without hostNamespaceOnly",
                      "kubectl -n kube-system exec ds/cilium -- cilium-dbg status | grep KubeProxyReplacement")  # fmt: skip


def _gpu(resource: str, told: Told) -> Finding:
    """A GPU of the vendor whose name the resource bears; of any where it is nobody's."""
    domain = resource.partition("/")[0]
    vendor = _VENDORS.get(domain, "")
    found = [row for row in told.pci if len(row) > 2 and row[1].startswith(vendor)]  # noqa: PLR2004 - address, vendor, class
    shown = [f"{row[0]} [{row[1].removeprefix('0x')}:{row[-1].removeprefix('0x')}]" for row in found]
    if any(row[2].startswith(_GPUS) for row in found):
        return _passed("smoke.gpu", resource, ", ".join(shown))
    return _failed("smoke.gpu", resource, ", ".join(shown) or f"no function of {domain} among {len(told.pci)}", "a GPU on the guest's PCI bus",
                   f"the kubelet gave the pod a device, and {GPU_HANDLER} did not plug it in",
                   "caasctl preflight --check cdi.resource_matches, and `journalctl -t kata` for cold plug")  # fmt: skip


def not_proven(handler: str, resource: str, trouble: Trouble) -> Finding:
    """Of a pod that does not run: what is only busy says nothing against the node."""
    found = _failed("smoke.runs", resource or handler, trouble.problem, "ran to its end", trouble.cause, trouble.fix)
    return replace(found, level=Level.UNKNOWN) if trouble.busy else found


def stopped(handler: str, resource: str) -> Finding:
    return _finding(Level.UNKNOWN, "smoke.runs", resource or handler, "stopped before it ended")


def no_resource(vendor: str, listed: Iterable[str]) -> Finding:
    """listed: `name: number` of what the node has of that vendor."""
    return _failed("smoke.resources", "", ", ".join(listed) or f"nothing of {vendor}", f"one {vendor}/ resource with a device",
                   "no device plugin has offered a GPU to the kubelet: none runs, or no GPU is bound to vfio-pci",
                   "kubectl -n caasctl-gpu get pods; caasctl preflight --check gpu.device_plugin")  # fmt: skip


def no_storage() -> Finding:
    found = _finding(Level.WARN, "smoke.storage", "", "no StorageClass")
    return replace(found, wanted="a StorageClass", cause=
                   "caasctl brings no storage: a pod with a PersistentVolumeClaim stays Pending",
                   fix=Fix("install a CSI driver where pods are to keep data; where none does, nothing is missing"))  # fmt: skip


def _passed(name: str, subject: str, found: str) -> Finding:
    return _finding(Level.PASS, name, subject, found)


def _failed(name: str, subject: str, found: str, wanted: str, cause: str, fix: str) -> Finding:
    return replace(_finding(Level.FAIL, name, subject, found), wanted=wanted, cause=cause, fix=Fix(fix))


def _finding(level: Level, name: str, subject: str, found: str) -> Finding:
    return Finding(level, found, subject=subject, id=name, title=TITLES[name], topic="smoke", fixed_by="")
