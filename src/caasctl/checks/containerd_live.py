"""What a restart of containerd would meet: Docker on the same daemon, live pods, crictl pointing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdService
from caasctl.facts.containerd_config import ContainerdEffective, CrictlConfig
from caasctl.facts.containerd_live import Docker, PodCgroups
from caasctl.model import Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.packages import READS, installs
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.tables import cri, systemd_cgroup

_ENDPOINTS = ("unix:///run/containerd/containerd.sock", "unix:///var/run/containerd/containerd.sock",
              "/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock")  # fmt: skip


@check(
    "containerd.docker_shared",
    "Docker does not run containers on this host",
    reads=(Docker, *READS),
    why="Docker's containers and the node's pods share one daemon: its restart, upgrade or failure is one for both, and Docker's package "
    "brings a configuration with the CRI off.",
    fix="Keep Docker off a node, or know that both share a fate.",
    source="https://docs.docker.com/engine/daemon/alternative-runtimes/; docs.docker.com/engine/daemon/live-restore/",
    gates=("packages", "containerd"),
)
def docker_shared(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Dockerd on PATH or as a snap, the tasks of the namespace moby below /run/containerd and /run/docker, docker.service."""
    found = facts[Docker]
    if not found.daemon and not found.all_containers:
        yield passed("no Docker")
    elif found.containers is None or (found.own is None and not found.containers):
        yield unknown(f"{found.daemon} is installed; seeing its containers needs root")
    elif found.all_containers:
        yield _with_containers(found, facts, profile)
    else:
        yield passed(f"{found.daemon} installed, no containers of it")


def _with_containers(found: Docker, facts: Facts, profile: NodeProfile) -> Finding:
    """A restart of containerd that would end them stops the phases; so does an installation, before it is made."""
    ends = bool(found.containers) and found.bound and not found.lives_on
    make = failed if ends or installs(facts, profile) else warned
    cause, count = "", found.all_containers
    if ends:
        cause = (
            "docker.service stops with containerd.service, and all its containers with it: `live-restore` is not on."
        )
    elif not found.containers:
        cause = "They run under a containerd of Docker's own: two daemons share the node's cgroups, memory and firewall rules."
    return make(f"{count} container{'' if count == 1 else 's'} of Docker", wanted="none on a node", cause=cause,
                fix=Fix("move what `docker ps` lists to another host, then `systemctl disable --now docker.socket docker.service`;"
                        " to live with them: a waiver of containerd.docker_shared in the profile", FixKind.EDIT))  # fmt: skip


@check(
    "containerd.live_pods",
    "No running pod is hurt by the change of containerd",
    reads=(PodCgroups, ContainerdEffective, ContainerdService),
    why="A change of the cgroup driver under running pods leaves them in cgroups that nobody manages: the kubelet kills and re-creates them, "
    "often in a loop.",
    fix="Drain the node before its cgroup driver changes.",
    source="https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/configure-cgroup-driver/",
    gates=("containerd",),
    after=("containerd.installed",),
)
def live_pods(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """Pods with processes in the cgroup tree, runc's cgroup driver now, KillMode of the service."""
    pods, effective, service = facts[PodCgroups], facts[ContainerdEffective], facts[ContainerdService]
    count = len(pods.live)
    runc = cri(effective.data).runtimes.get("runc", {})
    if not count:
        yield passed("no pods run")
    elif not systemd_cgroup(runc):
        yield failed(
            f"{count} pods run under runc with cgroupfs",
            wanted="a drained node: SystemdCgroup becomes true",
            fix=Fix(
                "kubectl drain $(hostname) --ignore-daemonsets --delete-emptydir-data && systemctl stop kubelet && crictl rmp -fa"
            ),
        )
    elif service.kill_mode != "process":
        yield warned(
            f"{count} pods run, KillMode={service.kill_mode}",
            wanted="KillMode=process",
            cause="systemd kills every pod of the node with each restart of containerd.",
            fix=Fix("systemctl edit containerd.service   # [Service] and KillMode=process", FixKind.EDIT),
        )
    else:
        yield passed(f"{count} pods run; they outlive a restart (KillMode=process)")


@check(
    "containerd.crictl_endpoint",
    "crictl asks containerd",
    reads=(CrictlConfig,),
    why="Without /etc/crictl.yaml crictl tries three sockets in turn, warns each time, and may ask another runtime.",
    fix="runtime-endpoint and image-endpoint: unix:///run/containerd/containerd.sock in /etc/crictl.yaml.",
    source="https://github.com/kubernetes-sigs/cri-tools/blob/master/docs/crictl.md",
    fixed_by="containerd",
)
def crictl_endpoint(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """runtime-endpoint and image-endpoint in /etc/crictl.yaml."""
    found = facts[CrictlConfig]
    endpoints = [found.runtime_endpoint, found.image_endpoint or found.runtime_endpoint]
    if found.text is None:
        yield warned("no /etc/crictl.yaml", wanted=_ENDPOINTS[0], fix=Fix("caasctl init-node"))
    elif found.error:
        yield warned(
            found.error, wanted=_ENDPOINTS[0], fix=Fix("rm /etc/crictl.yaml && caasctl init-node"), fixed_by=""
        )
    elif all(endpoint in _ENDPOINTS for endpoint in endpoints):
        yield passed(found.runtime_endpoint)
    else:
        wrong = next(endpoint for endpoint in endpoints if endpoint not in _ENDPOINTS)
        yield warned(wrong or "no endpoint", wanted=_ENDPOINTS[0], fixed_by="",
                     cause="The file is not caasctl's, so it stays; crictl shows the pods of another runtime, or none.",
                     fix=Fix(f"crictl config --set runtime-endpoint={_ENDPOINTS[0]} --set image-endpoint={_ENDPOINTS[0]}"))  # fmt: skip


CHECKS = (docker_shared, live_pods, crictl_endpoint)
