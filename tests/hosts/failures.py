"""Failures of a node that ran: what each changes on the recorded one, and the root that doctor must name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.hosts.living import ADDRESS, COMPONENTS, NODE, container, running_pod, utc
from tests.hosts.sick import Sick

CONFIG = "/etc/containerd/config.toml"
UNREACHABLE = f'E1127 12:2%d:11.000000    2210 kubelet_node_status.go:548] "Error updating node status, will retry" err="error getting node \\"{NODE}\\": Get \\"https://{ADDRESS}:6443/api/v1/nodes/{NODE}?timeout=10s\\": dial tcp {ADDRESS}:6443: connect: connection refused"'
POD = "pod0f1c3e848cb28fafbc6d3918f714b342"


class Failure(NamedTuple):
    """root: ids of which one must be the first of its roots. happen: changes the node. silent: the API server is gone with it,
    so that what only the cluster's objects show is not seen. on_host: shows in files and journals.
    """

    root: tuple[str, ...]
    happen: Callable[[Sick], None]
    silent: bool = False
    on_host: bool = False


def kubelet_fails(node: Sick, words: str) -> None:
    """The kubelet starts, says why not, ends, and starts again; nothing else can live."""
    node.living.say(
        "kubelet",
        f'E1127 12:27:00.000000    2210 run.go:74] "command failed" err="failed to run Kubelet: {words}"',
        ago=600,
        every=10,
    )
    node.living.say(
        "systemd",
        "kubelet.service: Main process exited, code=exited, status=1/FAILURE",
        "kubelet.service: Failed with result 'exit-code'.",
        ago=599,
        every=10,
        unit="kubelet.service",
    )
    node.living.services["kubelet.service"] |= {
        "ActiveState": "activating",
        "SubState": "auto-restart",
        "Result": "exit-code",
        "NRestarts": "60",
        "ExecMainCode": "1",
        "ExecMainStatus": "1",
    }
    node.answer(
        "systemctl",
        "NRestarts,UnitFileState",
        stdout="LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=60\nUnitFileState=enabled\n",
    )


def control_plane_gone(node: Sick) -> None:
    node.living.containers = [
        container(name, at, state="EXITED", attempt=3, ago=900) for at, name in enumerate(COMPONENTS, 1)
    ]
    node.living.ends = {one["id"]: "CONTAINER_EXITED\t1\tError\t2026-11-27T12:14:00Z" for one in node.living.containers}
    node.silent_api()


def not_ready(node: Sick, reason: str, message: str) -> None:
    status = node.living.find("Node", NODE)["status"]
    status["conditions"] = [c for c in status["conditions"] if c["type"] != "Ready"]
    status["conditions"].append(
        {"type": "Ready", "status": "False", "reason": reason, "message": message, "lastTransitionTime": utc(600)}
    )


def pod_waits(
    node: Sick, name: str, reason: str, message: str, *, namespace: str = "tenant-a", **spec: Any
) -> dict[str, Any]:
    """A pod on this node whose container does not start."""
    pod = running_pod(name, namespace, "main", **spec)
    waiting = {
        "name": "main",
        "ready": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {},
    }
    pod["status"] = {
        "phase": "Pending",
        "startTime": utc(500),
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
        ],
        "containerStatuses": [waiting],
    }
    node.living.objects.append(pod)
    return pod


def sandbox_fails(node: Sick, name: str, tail: str, **spec: Any) -> dict[str, Any]:
    pod = pod_waits(node, name, "ContainerCreating", "", **spec)
    words = (
        f'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox "8fc905e1cb2f": {tail}'
    )
    node.living.event("Pod", name, "FailedCreatePodSandBox", words, namespace="tenant-a")
    return pod


def unplaced(node: Sick, name: str, message: str, namespace: str = "tenant-a", **spec: Any) -> None:
    pod = running_pod(name, namespace, "main", **spec)
    del pod["spec"]["nodeName"]
    pod["status"] = {
        "phase": "Pending",
        "conditions": [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": message,
                "lastTransitionTime": utc(400),
            }
        ],
    }
    node.living.objects.append(pod)
    node.living.event("Pod", name, "FailedScheduling", message, namespace=namespace)


# -- failures -----------------------------------------------------------------------------------------------------------
def cgroupfs(node: Sick) -> None:
    """An hour after somebody rewrote containerd's file: everything restarts, and nobody says why."""
    node.edit(CONFIG, "SystemdCgroup = true", "SystemdCgroup = false")
    node.answer(
        "crictl", "info", stdout=node.said("crictl", "info").replace('"SystemdCgroup": true', '"SystemdCgroup": false')
    )
    node.put(
        f"/sys/fs/cgroup/system.slice/kubepods-burstable-{POD}.slice:cri-containerd:2f4e6d27fffb44a10c04097efc7f7d19/cgroup.events",
        "populated 1\n",
    )
    node.living.say(
        "kubelet",
        f'I1127 12:20:00.000000    2210 pod_container_manager_linux.go:1] "Pod sandbox changed, it will be killed and re-created" pod="kube-system/etcd-{NODE}"',
        ago=1500,
        every=300,
    )
    node.living.event(
        "Pod",
        f"etcd-{NODE}",
        "SandboxChanged",
        "Pod sandbox changed, it will be killed and re-created.",
        namespace="kube-system",
    )
    node.put(
        f"/var/log/pods/kube-system_etcd-{NODE}_1/etcd/16.log",
        '2026-11-27T12:24:07.516400000Z stderr F {"level":"info","ts":"2026-11-27T12:24:07.516400Z","caller":"osutil/interrupt_unix.go:64","msg":"received signal; shutting down","signal":"terminated"}\n',
    )
    node.put(
        f"/var/log/pods/kube-system_kube-apiserver-{NODE}_1/kube-apiserver/19.log",
        '2026-11-27T12:25:16.391114000Z stderr F W1127 12:25:16.391114       1 logging.go:55] [core] [Channel #2 SubChannel #3]grpc: addrConn.createTransport failed to connect to {Addr: "127.0.0.1:2379", ServerName: "127.0.0.1:2379", }. Err: connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused"\n',
    )
    node.living.say("kubelet", UNREACHABLE % 5, ago=900, every=30)
    control_plane_gone(node)


def cri_off(node: Sick) -> None:
    """Docker's package came back with its own file."""
    node.put(CONFIG, 'disabled_plugins = ["cri"]\n')
    unknown = "rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService"
    node.answer("crictl", "info", rc=1, stderr=f"FATA[0000] validate service connection: {unknown}\n")
    kubelet_fails(
        node,
        f'validate service connection: validate CRI v1 runtime API for endpoint \\"unix:///run/containerd/containerd.sock\\": {unknown}',
    )
    control_plane_gone(node)


def swap_on(node: Sick) -> None:
    node.put(
        "/proc/swaps",
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/nvme0n1p3                          partition\t8388604\t\t0\t\t-2\n",
    )
    kubelet_fails(
        node, "running with swap on is not supported, please disable swap or set --fail-swap-on flag to false"
    )
    control_plane_gone(node)


def cgroup_v1(node: Sick) -> None:
    """The old boot entry was booted."""
    node.put(
        "/proc/self/mountinfo",
        "24 23 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro\n25 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n26 24 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    )
    node.remove("/sys/fs/cgroup/cgroup.controllers")
    kubelet_fails(
        node, "kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is in maintenance mode"
    )
    control_plane_gone(node)


def configuration_broken(node: Sick) -> None:
    node.put(
        CONFIG,
        node.read(CONFIG) + '\n[plugins."io.containerd.grpc.v1.cri".containerd]\ndefault_runtime_name = "kata"\n',
    )
    words = "containerd: failed to load TOML: /etc/containerd/config.toml: (48, 2): duplicated tables"
    node.living.say("containerd", words, ago=300, every=5)
    node.living.say(
        "systemd",
        "containerd.service: Main process exited, code=exited, status=1/FAILURE",
        "containerd.service: Failed with result 'exit-code'.",
        ago=299,
        every=5,
        unit="containerd.service",
    )
    node.living.services["containerd.service"] |= {
        "ActiveState": "failed",
        "SubState": "failed",
        "Result": "exit-code",
        "NRestarts": "5",
        "ExecMainCode": "1",
        "ExecMainStatus": "1",
    }
    refused = 'FATA[0002] validate service connection: validate CRI v1 runtime API for endpoint "unix:///run/containerd/containerd.sock": rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused"\n'
    for word in ("info", "ps", "pods"):
        node.answer("crictl", word, rc=1, stderr=refused)
    node.answer(
        "ctr", "plugins", rc=1, stderr='ctr: failed to dial "/run/containerd/containerd.sock": connection refused\n'
    )
    node.living.say(
        "kubelet",
        'E1127 12:27:00.000000    2210 kubelet.go:2480] "Container runtime sanity check failed" err="rpc error: code = Unavailable desc = connection error: dial unix /run/containerd/containerd.sock: connect: connection refused"',
        ago=280,
        every=20,
    )
    node.silent_api()


def certificate_expired(node: Sick) -> None:
    words = "x509: certificate has expired or is not yet valid: current time 2026-11-27T12:20:00Z is after 2026-11-20T09:47:00Z"
    node.living.say(
        "kubelet",
        f'E1127 12:20:00.000000    2210 reflector.go:150] "Unhandled Error" err="k8s.io/client-go/informers/factory.go:160: Failed to watch *v1.Service: Get \\"https://{ADDRESS}:6443/api/v1/services\\": tls: failed to verify certificate: {words}"',
        ago=900,
        every=30,
    )
    not_ready(node, "NodeStatusUnknown", "Kubelet stopped posting node status.")
    node.living.api = f"Unable to connect to the server: tls: failed to verify certificate: {words}\n"


def no_network(node: Sick) -> None:
    """Cilium's image does not come."""
    limit = 'failed to pull and unpack image "quay.io/cilium/cilium:v1.20.5": failed to copy: httpReadSeeker: failed open: unexpected status code https://quay.io/v2/cilium/cilium/manifests/sha256:1: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit'
    node.living.find("DaemonSet", "cilium")["status"] |= {"numberReady": 0, "numberAvailable": 0}
    agent = node.living.find("Pod", "cilium-x7k2p")
    agent["status"] = {
        "phase": "Pending",
        "startTime": utc(900),
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        "containerStatuses": [
            {
                "name": "cilium-agent",
                "ready": False,
                "restartCount": 0,
                "state": {
                    "waiting": {
                        "reason": "ImagePullBackOff",
                        "message": f"Back-off pulling image: ErrImagePull: {limit}",
                    }
                },
                "lastState": {},
            }
        ],
    }
    node.living.event(
        "Pod",
        agent["metadata"]["name"],
        "Failed",
        f"Failed to pull image: rpc error: code = Unknown desc = {limit}",
        namespace="kube-system",
    )
    message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
    not_ready(node, "KubeletNotReady", message)
    node.living.say(
        "kubelet",
        f'E1127 12:20:00.000000    2210 kubelet.go:3117] "Container runtime network not ready" networkReady="{message}"',
        ago=900,
        every=5,
    )
    node.living.drop("Pod", "coredns")
    unplaced(
        node,
        "coredns-668d6bf9bc-2wqxr",
        "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        "kube-system",
    )
    node.living.find("Deployment", "coredns")["status"] |= {"readyReplicas": 0, "availableReplicas": 0}


def services_over_the_host_s_network(node: Sick) -> None:
    """The range of services is one that the host reaches by a route of its own."""
    asked = ("ip", "-j", "route", "show", "table", "all")
    own = {"dst": "10.96.0.0/16", "gateway": "192.168.40.1", "dev": "eno1", "protocol": "static", "flags": []}
    node.command(*asked, stdout=json.dumps([own, *json.loads(node.exactly(*asked))]))
    node.living.event(
        "Ingress",
        "shop",
        "FailedCall",
        'failed calling webhook "validate.nginx.ingress.kubernetes.io": failed to call webhook: Post "https://ingress-nginx-controller-admission.ingress-nginx.svc:443/networking/v1/ingresses?timeout=10s": dial tcp 10.96.192.204:443: connect: no route to host',
        namespace="tenant-a",
    )


def pods_in_two_ranges(node: Sick) -> None:
    """Somebody gave Cilium a pool of its own."""
    asked = "configmap/cilium-config"
    node.answer(asked, stdout=node.said(asked).replace("10.244.0.0/16", "10.0.0.0/8"))
    asked = "nodes,ciliumnodes"
    node.answer(
        asked, stdout=node.said(asked).replace("CiliumNode gpu-08  10.244.0.0/24", "CiliumNode gpu-08  10.0.0.0/24")
    )
    node.living.event("Node", NODE, "CIDRNotAvailable", f"Node {NODE} status is now: CIDRNotAvailable")


def gpu_unbound(node: Sick) -> None:
    """NVIDIA's operator was uninstalled, and took the binding along."""
    for address in ("0000:81:00.0", "0000:83:00.0"):
        if (node.folder / f"root/sys/bus/pci/devices/{address}/driver").is_symlink():
            node.remove(f"/sys/bus/pci/devices/{address}/driver")
            told = node.read(f"/sys/bus/pci/devices/{address}/uevent")
            node.put(f"/sys/bus/pci/devices/{address}/uevent", told.replace("DRIVER=vfio-pci\n", ""))
    node.living.find("Node", NODE)["status"]["allocatable"]["nvidia.com/pgpu"] = "0"
    unplaced(
        node,
        "train-1",
        "0/1 nodes are available: 1 Insufficient nvidia.com/pgpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    )


def annotation(node: Sick) -> None:
    sandbox_fails(
        node,
        "vectoradd",
        "failed to create containerd task: failed to create shim task: annotation io.katacontainers.config.hypervisor.default_memory is not enabled",
        runtimeClassName="kata-clh",
    )


def two_injectors(node: Sick) -> None:
    tail = "failed to create containerd task: failed to create shim task: Failed to hotplug device &{ID:vfio-efaf69af31265f060 BDF:0000:81:00.0} error: 500  reason: Failed to validate config: Duplicated device path: /sys/bus/pci/devices/0000:81:00.0"
    pod = sandbox_fails(node, "vectoradd", tail, runtimeClassName="kata-qemu-nvidia-gpu")
    pod["metadata"]["annotations"] = {"cdi.k8s.io/gpu": "nvidia.com/pgpu=0"}
    pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/pgpu": "1"}}


def handler_gone(node: Sick) -> None:
    """Another operator's class, whose handler nobody configured."""
    node.living.objects.append(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "kata-qemu-snp"},
            "handler": "kata-qemu-snp",
        }
    )
    pod_waits(node, "secret-0", "ContainerCreating", "", runtimeClassName="kata-qemu-snp")
    node.living.event(
        "Pod",
        "secret-0",
        "FailedCreatePodSandBox",
        'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "kata-qemu-snp" is configured',
        namespace="tenant-a",
    )


def dns_gone(node: Sick) -> None:
    """CoreDNS disappeared."""
    node.living.drop("Deployment", "coredns")
    node.living.drop("Pod", "coredns")
    node.living.find("EndpointSlice", "kube-dns")["endpoints"] = []
    pod = pod_waits(
        node,
        "nvidia-kata-manager-ft8gl",
        "CrashLoopBackOff",
        "back-off 2m40s restarting failed container",
        namespace="gpu-operator",
    )
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 9,
        "lastState": {
            "terminated": {
                "exitCode": 1,
                "reason": "Error",
                "finishedAt": utc(200),
                "message": 'error pulling artifact: failed to resolve ubuntu22.04-535.54.03: Get "https://nvcr.io/v2/": dial tcp: lookup nvcr.io: i/o timeout',
            }
        },
    }


def second_manifest(node: Sick) -> None:
    """Somebody kept a copy beside the original: the kubelet runs both."""
    path = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    node.put(f"{path}.bak", node.read(path).replace("v1.36.4", "v1.36.2"))


def fell_off(node: Sick) -> None:
    node.living.say(
        "kernel",
        "NVRM: Xid (PCI:0000:81:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        ago=3000,
    )
    node.living.say(
        "kernel", "vfio-pci 0000:81:00.0: Unable to change power state from D3cold to D0, device inaccessible", ago=2990
    )


def disk_slow(node: Sick) -> None:
    node.put(
        f"/var/log/pods/kube-system_etcd-{NODE}_1/etcd/0.log",
        "".join(
            f'2026-11-27T12:2{at}:07.516400000Z stderr F {{"level":"warn","ts":"2026-11-27T12:2{at}:07.516400Z","caller":"wal/wal.go:805","msg":"slow fdatasync","took":"2.104117s","expected-duration":"1s"}}\n'
            for at in range(7)
        ),
    )
    node.living.containers[2] = container("kube-controller-manager", 3, state="EXITED", attempt=4, ago=90)


def operator_twice(node: Sick) -> None:
    node.living.find("Deployment", "cilium-operator")["spec"]["replicas"] = 2
    node.living.find("Deployment", "cilium-operator")["status"] |= {
        "replicas": 2,
        "readyReplicas": 1,
        "unavailableReplicas": 1,
    }
    unplaced(
        node,
        "cilium-operator-7fc566c698-zpxd6",
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. preemption: 0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.",
        "kube-system",
    )


def no_class(node: Sick) -> None:
    node.living.drop("StorageClass", "local-path")
    node.living.objects.append(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "model-output", "namespace": "tenant-a"},
            "spec": {"accessModes": ["ReadWriteOnce"]},
            "status": {"phase": "Pending"},
        }
    )
    node.living.event(
        "PersistentVolumeClaim",
        "model-output",
        "FailedBinding",
        "no persistent volumes available for this claim and no storage class is set",
        namespace="tenant-a",
    )
    unplaced(
        node,
        "mnist-0",
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
        volumes=[{"name": "out", "persistentVolumeClaim": {"claimName": "model-output"}}],
    )


def iommu_off(node: Sick) -> None:
    """A new firmware has VT-d off."""
    node.listing("/sys/class/iommu", [])
    node.listing("/sys/firmware/acpi/tables", ["APIC", "DSDT", "FACP", "HPET", "MCFG", "data", "dynamic"])
    tables = node.folder / "root/sys/firmware/acpi/tables/DMAR"
    tables.unlink(missing_ok=True)
    for device in (node.folder / "root/sys/bus/pci/devices").iterdir():
        (device / "iommu_group").unlink(missing_ok=True)
    gpu_unbound(node)
    node.living.say("kernel", "vfio-pci 0000:81:00.0: probe with driver vfio-pci failed with error -22", ago=182400)


def disk_full(node: Sick) -> None:
    asked = "--output=file,target"
    told = node.said(asked)
    node.answer(asked, stdout=told.replace("1731208844 117104640", "0 117104640"), rc=1)
    full = "failed to create containerd container: mkdir /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/812: no space left on device"
    sandbox_fails(node, "web-0", full)
    node.living.say(
        "kubelet",
        'I1127 12:22:00.000000    2210 eviction_manager.go:383] "Eviction manager: must evict pod(s) to reclaim" resourceName="ephemeral-storage"',
        ago=300,
        every=60,
    )
    status = node.living.find("Node", NODE)["status"]
    for one in status["conditions"]:
        if one["type"] == "DiskPressure":
            one.update(status="True", reason="KubeletHasDiskPressure", message="kubelet has disk pressure")


def application(node: Sick) -> None:
    """No failure of the node: what runs in it ends by itself."""
    pod = pod_waits(
        node,
        "serverless-test-6c7657c859-66pn6",
        "CrashLoopBackOff",
        "back-off 5m0s restarting failed container=serverless-test",
        runtimeClassName="kata-qemu",
    )
    pod["status"]["phase"] = "Running"
    pod["status"]["containerStatuses"][0] |= {
        "restartCount": 14,
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": utc(300), "finishedAt": utc(200)}},
    }
    node.living.event(
        "Pod",
        pod["metadata"]["name"],
        "BackOff",
        "Back-off restarting failed container serverless-test in pod serverless-test-6c7657c859-66pn6_tenant-a(b50a7fa8)",
        namespace="tenant-a",
    )


FAILURES = {
    "containerd's cgroup driver lost": Failure(("containerd.systemd_cgroup",), cgroupfs, silent=True),
    "the CRI switched off": Failure(("containerd.cri_enabled",), cri_off, silent=True),
    "swap after a reboot": Failure(("os.swap",), swap_on, silent=True),
    "the old boot entry": Failure(("cgroup.unified",), cgroup_v1, silent=True),
    "a table twice in containerd's file": Failure(
        ("containerd.config_parses", "containerd.config_table_twice"), configuration_broken, silent=True
    ),
    "certificates ran out": Failure(
        ("kubernetes.cert_expired", "kubernetes.certificates"), certificate_expired, silent=True
    ),
    "the network's image does not come": Failure(("containerd.registry_limit",), no_network),
    "services over the host's network": Failure(("network.service_cidr_free",), services_over_the_host_s_network),
    "two ranges of pods": Failure(("network.pod_cidr_places", "cilium.pool_matches"), pods_in_two_ranges),
    "GPUs without vfio-pci": Failure(("gpu.bound",), gpu_unbound, on_host=True),
    "an annotation of Kata's": Failure(("kata.annotation_not_enabled",), annotation),
    "a GPU named twice": Failure(("gpu.two_injectors",), two_injectors),
    "a class without a handler": Failure(("kubernetes.runtime_chain",), handler_gone),
    "CoreDNS gone": Failure(("kubernetes.coredns",), dns_gone),
    "a second manifest": Failure(("kubernetes.manifests",), second_manifest, on_host=True),
    "a GPU off the bus": Failure(("gpu.fell_off_bus",), fell_off, on_host=True),
    "a slow disk": Failure(("kubernetes.etcd_slow",), disk_slow),
    "a second operator": Failure(("kubernetes.no_free_ports",), operator_twice),
    "a claim without a class": Failure(("kubernetes.storage_class",), no_class),
    "the IOMMU off in the firmware": Failure(("iommu.firmware",), iommu_off, on_host=True),
    "a full disk": Failure(("os.disk_space",), disk_full),
}
NO_FAILURES = {"an application's own crash": application}

# What hides, replaces or is the other.
_NOT_TOGETHER = (
    {"GPUs without vfio-pci", "the IOMMU off in the firmware"},
    {"CoreDNS gone", "the network's image does not come"},
    {"containerd's cgroup driver lost", "a slow disk"},
)


def together(*names: str) -> bool:
    """Whether one node can show all of these at once."""
    silent = [name for name in names if FAILURES[name].silent]
    hidden = silent and not all(FAILURES[name].on_host or FAILURES[name].silent for name in names)
    return len(silent) < 2 and not hidden and not any(pair <= set(names) for pair in _NOT_TOGETHER)
