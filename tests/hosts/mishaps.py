"""More failures of a node that ran: what befalls one from outside, by time or by hand."""

from __future__ import annotations

from tests.hosts.failures import (
    Failure,
    control_plane_gone,
    kubelet_fails,
    not_ready,
    pod_waits,
    sandbox_fails,
    unplaced,
)
from tests.hosts.living import ADDRESS, NODE, container, utc
from tests.hosts.sick import Sick

API = f"https://{ADDRESS}:6443"


def kubelet_certificate(node: Sick) -> None:
    """The host was off when the kubelet's certificate was due."""
    node.living.say(
        "kubelet",
        "E1127 12:20:00.000000    2210 bootstrap.go:265] part of the existing bootstrap client certificate in /etc/kubernetes/kubelet.conf is expired: 2026-11-20 09:12:44 +0000 UTC",
        ago=600,
        every=10,
    )
    kubelet_fails(
        node,
        "unable to load bootstrap kubeconfig: stat /etc/kubernetes/bootstrap-kubelet.conf: no such file or directory",
    )
    control_plane_gone(node)


def renamed(node: Sick) -> None:
    """Somebody gave the host another name."""
    node.living.say(
        "kubelet",
        f'E1127 12:20:00.000000    2210 kubelet_node_status.go:96] "Unable to register node with API server" err="nodes \\"gpu-9\\" is forbidden: node \\"{NODE}\\" is not allowed to modify node \\"gpu-9\\"" node="gpu-9"',
        'E1127 12:20:01.000000    2210 eviction_manager.go:292] "Eviction manager: failed to get summary stats" err="failed to get node info: node \\"gpu-9\\" not found"',
        ago=900,
        every=10,
    )
    not_ready(node, "NodeStatusUnknown", "Kubelet stopped posting node status.")


def flag_by_hand(node: Sick) -> None:
    """An option of another version was written into the API server's manifest."""
    path = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    node.edit(path, "    - kube-apiserver\n", "    - kube-apiserver\n    - --cloud-provider=external\n")
    node.living.containers[1] = container("kube-apiserver", 2, state="EXITED", attempt=14, ago=40)
    node.living.ends = {node.living.containers[1]["id"]: "CONTAINER_EXITED\t1\tError\t2026-11-27T12:26:40Z"}
    node.put(
        f"/var/log/pods/kube-system_kube-apiserver-{NODE}_1/kube-apiserver/14.log",
        "2026-11-27T12:26:41.573854496Z stderr F Error: unknown flag: --cloud-provider\n",
    )
    node.living.say(
        "kubelet",
        f'E1127 12:25:00.000000    2210 kubelet_node_status.go:548] "Error updating node status, will retry" err="error getting node \\"{NODE}\\": Get \\"{API}/api/v1/nodes/{NODE}?timeout=10s\\": dial tcp {ADDRESS}:6443: connect: connection refused"',
        ago=900,
        every=30,
    )
    node.silent_api()


def dns_loop(node: Sick) -> None:
    """CoreDNS is told to ask itself."""
    folder = "/var/log/pods/kube-system_coredns-668d6bf9bc-2wqxr_1/coredns"
    node.put(f"{folder}/6.log", "")
    node.put(
        f"{folder}/7.log",
        '2026-11-27T12:24:44.486000000Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:34614 -> :53) detected for zone ".", see https://coredns.io/plugins/loop#troubleshooting. Query: "HINFO 6074102630077018525.5798689655824409358."\n',
    )
    node.living.event(
        "Pod",
        "coredns-668d6bf9bc-2wqxr",
        "BackOff",
        "Back-off restarting failed container coredns in pod coredns-668d6bf9bc-2wqxr_kube-system(1)",
        namespace="kube-system",
    )
    node.living.find("Deployment", "coredns")["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    node.living.find("EndpointSlice", "kube-dns")["endpoints"] = []


def firewall_back(node: Sick) -> None:
    """An upgrade switched the firewall on again: the kernel says what it drops."""
    node.living.say(
        "kernel",
        f"[UFW BLOCK] IN=eno1 OUT= MAC=aa:bb SRC=192.168.40.18 DST={ADDRESS} LEN=60 TTL=64 PROTO=TCP SPT=44120 DPT=10250 WINDOW=64240 RES=0x00 SYN URGP=0",
        ago=800,
        every=60,
    )


def conntrack_full(node: Sick) -> None:
    node.living.say("kernel", "nf_conntrack: nf_conntrack: table full, dropping packet", ago=600, every=5)
    node.living.event(
        "Pod",
        "coredns-668d6bf9bc-2wqxr",
        "Unhealthy",
        'Readiness probe failed: Get "http://10.244.0.5:8181/ready": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        namespace="kube-system",
    )


def cordoned(node: Sick) -> None:
    """Nobody uncordoned it after the upgrade."""
    node.living.find("Node", NODE)["spec"]["unschedulable"] = True
    unplaced(
        node,
        "web-0",
        "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    )


def second_network(node: Sick) -> None:
    """A configuration of flannel stands before Cilium's."""
    sandbox_fails(
        node,
        "web-0",
        'failed to setup network for sandbox "5db4": plugin type="flannel" failed (add): loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory',
    )


def registry_authority(node: Sick) -> None:
    """The certificate of the site's registry ran out."""
    words = 'failed to pull and unpack image "harbor.lan/team/app:2": failed to resolve reference "harbor.lan/team/app:2": failed to do request: Head "https://harbor.lan/v2/team/app/manifests/2": tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 2026-11-27T12:20:00Z is after 2026-11-20T00:00:00Z'
    pod_waits(node, "app-0", "ImagePullBackOff", f"Back-off pulling image: ErrImagePull: {words}")
    node.living.event("Pod", "app-0", "Failed", f"Failed to pull image: {words}", namespace="tenant-a")


def clock_jumped(node: Sick) -> None:
    words = f"x509: certificate has expired or is not yet valid: current time 2024-01-01T00:03:11Z is before {utc(0)}"
    node.living.say(
        "kubelet",
        f'E0101 00:03:11.000000    2210 reflector.go:150] "Unhandled Error" err="Failed to watch *v1.Service: Get \\"{API}/api/v1/services\\": tls: failed to verify certificate: {words}"',
        ago=900,
        every=30,
    )
    node.living.api = f"Unable to connect to the server: tls: failed to verify certificate: {words}\n"


MISHAPS = {
    "the kubelet's certificate ran out": Failure(("kubernetes.bootstrap_kubeconfig",), kubelet_certificate),
    "another name": Failure(("kubernetes.node_renamed",), renamed),
    "an option that is none": Failure(("kubernetes.unknown_flag",), flag_by_hand),
    "a loop of name servers": Failure(("network.dns_loop",), dns_loop),
    "the firewall is back": Failure(("network.packets_blocked", "network.firewall"), firewall_back),
    "the table of connections is full": Failure(("network.conntrack_full",), conntrack_full),
    "nobody uncordoned it": Failure(("kubernetes.cordoned",), cordoned),
    "a second network's configuration": Failure(("cilium.foreign_cni",), second_network),
    "the registry's certificate ran out": Failure(("containerd.registry_certificate",), registry_authority),
    "the clock jumped": Failure(("os.clock_wrong",), clock_jumped),
}
