"""Phase cilium: the kernel's table of connections where no kube-proxy sizes it, and Cilium by Helm where the cluster begins."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl import formats
from caasctl.facts.cilium import CiliumLive
from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.kata_host import Kvm
from caasctl.facts.kubernetes_kubelet import KubeletService
from caasctl.facts.kubernetes_leftovers import CniFiles
from caasctl.facts.network import Links
from caasctl.facts.network_bridges import CniConfigs
from caasctl.facts.network_firewall import ForwardChains
from caasctl.facts.network_ports import Listeners
from caasctl.facts.network_routes import Routes
from caasctl.facts.network_rules import PolicyRules
from caasctl.facts.network_sysctl import Forwarding, RpFilterFiles
from caasctl.facts.os import Cpu, Modules
from caasctl.facts.os_sysctl import SysctlConfig, SysctlLive
from caasctl.model import HEADER, Facts
from caasctl.needs.cilium import CONNTRACK, conntrack, direct, node_address, values
from caasctl.needs.network import READS, ranges
from caasctl.profile import NodeProfile
from caasctl.protocol import Phase, Resource
from caasctl.resources.files import File
from caasctl.resources.helm.commands import Chart
from caasctl.resources.helm.release import HelmRelease
from caasctl.resources.kernel import KernelModule, Sysctl
from caasctl.syntax import needs
from caasctl.syntax.helm_values import canonical, holds_secret
from caasctl.syntax.needs import SysctlNeed

VALUES_FILE = "/etc/kubernetes/caasctl/cilium-values.yaml"
MODULES_FILE = "/etc/modules-load.d/zz-caasctl-cilium.conf"
SYSCTL_FILE = "/etc/sysctl.d/zz-caasctl-cilium.conf"
_COMMENT = "Without kube-proxy nobody else sizes the kernel's table of connections."


def desired(facts: Facts, profile: NodeProfile) -> Iterator[Resource]:
    need = conntrack(profile, facts[Cpu].count)
    if need:
        yield from _connections(facts, need)
    if profile.begins_cluster:  # others get Cilium from their cluster
        yield release(facts, profile)


def _connections(facts: Facts, need: SysctlNeed) -> Iterator[Resource]:
    other = facts[SysctlConfig].foreign(CONNTRACK)
    value = other.value if other and needs.met(need, other.value) else need.value
    groups = [(_COMMENT, [(CONNTRACK, value)])]
    loadable = need.module not in facts[Modules].builtin
    yield File(MODULES_FILE, formats.render("modules-load.conf.j2", header=HEADER, modules=(need.module,)))
    if loadable:
        yield KernelModule(need.module)
    yield File(SYSCTL_FILE, formats.render("sysctl.conf.j2", header=HEADER, groups=groups))
    yield Sysctl(CONNTRACK, value, need.minimum, need.module if loadable else "",
                 (f"module:{need.module}",) if loadable else ())  # fmt: skip


def release(facts: Facts, profile: NodeProfile) -> HelmRelease:
    """Cilium's release. Raises FactUnread, and CaasError where no ranges can be had."""
    cilium, chosen = profile.spec.cilium, ranges(facts, profile)
    told = canonical(values(facts, profile, chosen))
    secret = holds_secret(told)
    return HelmRelease(
        Chart(cilium.chart, cilium.repository, cilium.version.removeprefix("v")),
        told,
        (File(VALUES_FILE, HEADER + formats.dump_yaml(told), 0o600, secret=secret),),
        node_address(facts, profile, chosen),
        direct(facts, profile, chosen),
        secret=secret,
    )


PHASE = Phase(
    "cilium",
    "Cilium, and the kernel's table of connections",
    desired,
    reads=(
        Cpu,
        Modules,
        SysctlConfig,
        ContainerdVersion,
        ContainerdConfig,
        ContainerdEffective,
        *READS,
    ),
    disturbs=(
        NvidiaLeftovers,
        Modules,
        Kvm,
        SysctlConfig,
        SysctlLive,
        RpFilterFiles,
        Forwarding,
        Links,
        Routes,
        Listeners,
        ForwardChains,
        CiliumLive,
        CniConfigs,
        CniFiles,
        KubeletService,
        PolicyRules,
    ),
)
