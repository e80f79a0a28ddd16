"""Kubelet and runtimes on one cgroup driver, and pods where the kubelet looks for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.containerd_live import PodCgroups
from caasctl.facts.kubernetes import Kubelet
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.imports import seen_cri, set_by
from caasctl.syntax.containerd.tables import Cri, is_runc, runtimes_path, systemd_cgroup

_ASKS_THE_CRI = (1, 31)  # KubeletCgroupDriverFromCRI: on by default
_ANSWERS = (2, 0, 0)


@check(
    "cgroup.driver_match",
    "Kubelet and every runc handler use one cgroup driver",
    reads=(Kubelet, ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why='runc gets paths of the other driver: `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`, or pods '
    "whose cgroups the kubelet does not find and kills them for.",
    fix="cgroupDriver: systemd in the kubelet's configuration, SystemdCgroup = true in the options of every runc handler.",
    source="https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/configure-cgroup-driver/",
    after=("containerd.installed", "containerd.config_parses"),
)
def driver_match(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """CgroupDriver in /var/lib/kubelet/config.yaml against SystemdCgroup of each runc-type handler in the merged configuration."""
    kubelet, effective = facts[Kubelet], facts[ContainerdEffective]
    if kubelet.config is None or effective.error:
        return
    version = facts[ContainerdVersion].version
    found = seen_cri(effective.data, facts[ContainerdConfig].files, version)
    driver, source = _kubelet_driver(kubelet, found, version)
    wrong = [name for name, runtime in found.runtimes.items() if is_runc(runtime) and _driver(runtime) != driver]
    for name in wrong:
        yield _mismatch(facts, name, driver, source)
    if not wrong:
        yield passed(f"{driver} ({source})")


def _kubelet_driver(kubelet: Kubelet, found: Cri, version: tuple[int, int, int]) -> tuple[str, str]:
    """A kubelet since 1.31 asks containerd 2.x, whose default handler answers; others go by their own configuration."""
    asks = tuple(int(part) for part in kubelet.version.split(".")[:2] if part.isdigit()) >= _ASKS_THE_CRI
    default = found.runtimes.get(found.default_runtime, {})
    if asks and version >= _ANSWERS and is_runc(default):
        return _driver(default), f"kubelet {kubelet.version} takes it from {found.default_runtime}"
    flag = re.search(r"--cgroup-driver[= ](\w+)", kubelet.flags)
    if flag:
        return flag[1], "kubelet's --cgroup-driver"
    return str((kubelet.config or {}).get("cgroupDriver") or "cgroupfs"), "kubelet's cgroupDriver"


def _driver(runtime: object) -> str:
    return "systemd" if systemd_cgroup(runtime if isinstance(runtime, dict) else {}) else "cgroupfs"


def _mismatch(facts: Facts, name: str, driver: str, source: str) -> Finding:
    other = "cgroupfs" if driver == "systemd" else "systemd"
    said = f"{other}, but {driver} is {source}"
    if driver == "cgroupfs":
        return failed(said, wanted="systemd on both sides", subject=name, fix=Fix(
            "cgroupDriver: systemd in /var/lib/kubelet/config.yaml, then: systemctl restart kubelet", FixKind.EDIT))  # fmt: skip
    if name == "runc":
        return failed(said, wanted=driver, subject=name, fix=Fix("caasctl init-node"), fixed_by="containerd")
    config = facts[ContainerdConfig]
    path = (*runtimes_path(config.main.schema), name, "options", "SystemdCgroup")
    file = set_by(config.files, path) or set_by(config.files, (*path[:-2], "runtime_type")) or config.path
    table = ".".join(f'"{part}"' if "." in part else part for part in path[:-1])
    return failed(
        said, wanted=driver, subject=name, fix=Fix(f"SystemdCgroup = true below [{table}] in {file}", FixKind.EDIT)
    )


@check(
    "cgroup.pods_misplaced",
    "Pods' cgroups are where the kubelet looks for them",
    reads=(PodCgroups, Kubelet),
    why="A runc in cgroupfs mode takes systemd's path literally and makes the directory below its own slice; the kubelet sees an empty pod "
    "slice, without cpuset: `Pod sandbox changed, it will be killed and re-created`.",
    fix="SystemdCgroup = true, then pods made anew.",
    source="containerd internal/cri/server/helpers.go, cgroup path of a pod",
)
def pods_misplaced(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """/sys/fs/cgroup/system.slice/kubepods*.slice:cri-containerd:*, kubepods.slice and kubepods (all hierarchies)."""
    found, kubelet = facts[PodCgroups], facts[Kubelet]
    if found.misplaced:
        yield failed(
            f"{len(found.misplaced)} below system.slice",
            wanted="all below kubepods.slice",
            fix=Fix(
                "caasctl init-node, then make the pods anew: systemctl stop kubelet && crictl rmp -fa && systemctl start kubelet"
            ),
            evidence=tuple(Evidence("/sys/fs/cgroup", path) for path in found.misplaced[:2]),
        )
    elif found.by_cgroupfs and (found.by_systemd or (kubelet.config or {}).get("cgroupDriver") == "systemd"):
        yield warned(
            "kubepods beside the kubelet's systemd driver",
            wanted="kubepods.slice only",
            cause="The kubelet ran with cgroupDriver cgroupfs before; pods of that time are not managed any more.",
            fix=Fix("kubectl drain $(hostname) --ignore-daemonsets && reboot", needs_reboot=True),
        )
    elif found.at_root:
        yield passed(f"{len(found.at_root)} of Kata at the root (sandbox_cgroup_only=false): no harm")
    else:
        yield passed(f"{len(found.live)} pods")


CHECKS = (driver_match, pods_misplaced)
