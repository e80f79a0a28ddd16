"""A node with two things wrong at once, as doctor tells of it: literal signs, roots, a chain and a time line."""

from __future__ import annotations

from dataclasses import replace

from tests.report.samples import PREFLIGHT, named

from caasctl.diagnosis import Diagnosis, Follow, Line, Link, Moment, Root, RuledOut, Says, Sign
from caasctl.model import Evidence, Finding, Fix, FixKind, failed, warned


def sign(
    name: str, title: str, finding: Finding, says: Says = Says.EFFECT, times: int = 1, at: str = "", last: str = ""
) -> Sign:
    return Sign(named(finding, name, title), says, times, at, last or at, checked=says is Says.CAUSE)


def said(name: str, title: str, words: str, source: str, times: int = 1, at: str = "", last: str = "") -> Sign:
    """A symptom: a program's own words."""
    finding = failed(
        words, wanted="", fix=Fix("mend what it follows from", FixKind.WAIT), evidence=(Evidence(source, words),)
    )
    return sign(name, title, replace(finding, fix=None), Says.EFFECT, times, at, last)


DRIVER = sign(
    "containerd.systemd_cgroup", "containerd and the kubelet use the same cgroup driver",
    failed("containerd: cgroupfs, of /etc/containerd/config.toml; kubelet: systemd", wanted="systemd in both", fixed_by="containerd",
           cause="Two managers of one cgroup tree lose each other's processes: containers of the control plane are killed and started again, for ever.",
           fix=Fix("caasctl init-node --phase containerd"), evidence=(
               Evidence("/etc/containerd/config.toml:41", "SystemdCgroup = false"),
               Evidence("/var/lib/kubelet/config.yaml", "cgroupDriver: systemd"))),
    Says.CAUSE)  # fmt: skip
RESTARTS = said("kubernetes.control_plane", "Containers of the control plane do not stay up",
                "etcd: exited 14 times, last code 0 after 92 s", "crictl ps -a", 14, "2026-11-23T02:02:11Z", "2026-11-23T02:40:55Z")  # fmt: skip
REFUSED = said("kubernetes.api_refused", "The API server does not answer",
               "The connection to the server 10.254.192.244:6443 was refused - did you specify the right host or port?",
               "kubelet", 311, "2026-11-23T02:03:40Z", "2026-11-23T02:41:02Z")  # fmt: skip
NOT_READY = said(
    "kubernetes.node_ready",
    "The node is NotReady",
    "Kubelet stopped posting node status.",
    "kubectl get nodes",
    1,
    "2026-11-23T02:04:20Z",
)
DNS = said("kubernetes.cluster_dns", "CoreDNS is pending",
           "0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.", "event", 22, "2026-11-23T02:05:00Z")  # fmt: skip
LEASE = said("kubernetes.lease_lost", "The scheduler loses its lease", "failed to renew lease kube-system/kube-scheduler: context deadline exceeded",
             "kube-scheduler", 9, "2026-11-23T02:06:13Z")  # fmt: skip
OVERLAP = sign(
    "network.pod_cidr_free", "Nothing that this host uses lies in the range of pods",
    failed("pods 10.254.0.0/16 overlap eno1 10.254.192.244/24", wanted="a range that nothing here uses", fixed_by="",
           cause="Cilium takes what is meant for the site's own machines: resolver, gateway and storage cannot be reached from pods.",
           fix=Fix("in the profile: spec.network.podCIDR: 10.244.0.0/16", FixKind.EDIT),
           evidence=(Evidence("ip -d -j addr", "eno1 10.254.192.244/24"),)), Says.CAUSE)  # fmt: skip
NO_ROUTE = said("network.no_route_to_host", "Pods cannot reach machines beside this node", "dial tcp 10.254.192.1:53: connect: no route to host",
                "coredns", 120, "2026-11-23T01:58:00Z", "2026-11-23T02:41:00Z")  # fmt: skip
TIMEOUT = said("network.dns_timeout", "Names outside of the cluster do not resolve",
               "[ERROR] plugin/errors: 2 registry-1.docker.io. A: read udp 10.254.3.7:41234->10.254.192.1:53: i/o timeout", "coredns", 88,
               "2026-11-23T01:58:30Z")  # fmt: skip
PULL = said("kubernetes.image_pull", "Images cannot be pulled", "ErrImagePull: failed to resolve reference docker.io/library/busybox:1.36", "event", 6,
            "2026-11-23T01:59:10Z")  # fmt: skip
STORAGE = said(
    "network.nfs_hangs",
    "Mounts of the storage server hang",
    "nfs: server 10.254.192.9 not responding, still trying",
    "kernel",
    4,
)
HEALTH = said("cilium.health", "Cilium's health probes fail", "1/1 reachable nodes, 0/1 endpoints", "cilium status", 1)
SWAP = sign("os.swap", "Swap is off", warned("8.0 GiB on /swap.img", wanted="no swap", fix=Fix("swapoff -a"), fixed_by="host",
                                              cause="The kubelet does not start."), Says.CAUSE)  # fmt: skip
TAINT = said(
    "kata.shim_slow",
    "A guest takes long to start",
    "CreateContainerRequest timed out after 60 s",
    "kata",
    2,
    "2026-11-23T02:20:00Z",
)
EARLY = said(
    "kubernetes.kubelet_no_config",
    "The kubelet waits for kubeadm",
    "open /var/lib/kubelet/config.yaml: no such file or directory",
    "kubelet",
    7,
)
FOLLOWS = (Follow(RESTARTS, DRIVER.id), Follow(REFUSED, RESTARTS.id), Follow(LEASE, RESTARTS.id), Follow(NOT_READY, REFUSED.id),
           Follow(DNS, NOT_READY.id))  # fmt: skip
BROKEN_NET = (Follow(NO_ROUTE, OVERLAP.id), Follow(TIMEOUT, NO_ROUTE.id), Follow(PULL, TIMEOUT.id), Follow(STORAGE, OVERLAP.id),
              Follow(HEALTH, OVERLAP.id))  # fmt: skip
DIAGNOSIS = Diagnosis(
    roots=(Root(DRIVER, FOLLOWS), Root(OVERLAP, BROKEN_NET)),
    beside=(SWAP,),
    unexplained=(Root(TAINT),),
    notes=(Root(EARLY),),
    unknown_lines=(Line("kernel", "kernel", "mlx5_core 0000:3b:00.0: poll_health:997: Fatal error 1 detected", "2026-11-23T02:11:07Z"),),
    ruled_out=(
        RuledOut("os.time_sync", "The clock is synchronized", "NTPSynchronized=yes, off by 3 ms"),
        RuledOut("kubernetes.certificates", "Certificates of the control plane are valid", "the first ends on 2027-11-20"),
        RuledOut("kubernetes.node_pressure", "There is room on the disks", "/var/lib/containerd has 412 GiB free"),
    ),
    undetermined=(RuledOut("gpu.orphan_holders", "No process of no pod holds a GPU", "/proc/1/fd: permission denied (needs root)"),),
    chain=(
        Link("pod", "tenant-a/train-0, runtimeClassName kata-qemu-nvidia-gpu"),
        Link("RuntimeClass", "kata-qemu-nvidia-gpu, handler kata-qemu-nvidia-gpu"),
        Link("handler", "containerd knows no handler kata-qemu-nvidia-gpu: /etc/containerd/conf.d/kata.toml is not imported", broken=True),
        Link("shim", "/opt/kata/bin/containerd-shim-kata-v2"),
        Link("guest's image", "not looked at", unknown=True),
    ),
    timeline=tuple(Moment(each.first, each.id, each.finding.found) for each in (NO_ROUTE, TIMEOUT, PULL, RESTARTS, REFUSED, NOT_READY, DNS, LEASE)),
    collect=("journalctl -u kubelet --since '2026-11-23 01:50' as root", "/proc/*/fd, as root: who holds /dev/vfio/*"),
    looked_at=("journal of kubelet: 5,000 of 41,210 lines", "journal of containerd: 812 lines", "crictl ps -a: 31 containers", "kubectl: did not answer in 6 s"),
    rules=144,
)  # fmt: skip
REPORT = replace(PREFLIGHT, command="doctor", diagnosis=DIAGNOSIS, notes=())
