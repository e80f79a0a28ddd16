"""Phase cilium: what each role gets, and that its own interfaces and routes change nothing of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.facts.os import Cpu, Modules
from caasctl.facts.os_sysctl import SysctlConfig
from caasctl.formats import parse_yaml
from caasctl.model import Facts
from caasctl.phases.cilium import MODULES_FILE, PHASE, SYSCTL_FILE, VALUES_FILE
from caasctl.profile import Join, NodeProfile
from caasctl.profile_load import load
from caasctl.protocol import Resource
from caasctl.resources.files import File, owned_files
from caasctl.resources.helm.release import HelmRelease
from caasctl.resources.kernel import KernelModule, Sysctl
from caasctl.syntax.sysctl import Setting

NODE = load("single-node")
KEY = "net.netfilter.nf_conntrack_max"
ETH0 = Link("eth0", addresses=(Address("192.0.2.10", 24),))
DEFAULT = Route("0.0.0.0/0", "192.0.2.1", "eth0")


def facts(*, cpus: int = 2, builtin: tuple[str, ...] = (), other: str = "", links: tuple[Link, ...] = (ETH0,),
          routes: tuple[Route, ...] = (DEFAULT,)) -> Facts:  # fmt: skip
    foreign = (Setting(KEY, other, "/etc/sysctl.d/90-site.conf", 1),) if other else ()
    return Facts(
        [
            Cpu("GenuineIntel", cpus, frozenset()),
            Modules(frozenset(), frozenset(builtin), frozenset()),
            SysctlConfig(foreign),
            Links(links),
            Routes(routes),
            ContainerdVersion((2, 1, 9)),
            ContainerdConfig(),
            ContainerdEffective(),
        ]
    )


def desired(found: Facts, profile: NodeProfile = NODE) -> tuple[Resource, ...]:
    return tuple(PHASE.desired(found, profile))


def test_a_first_node_gets_the_table_of_connections_and_then_the_release() -> None:
    names = [resource.name for resource in desired(facts())]
    assert names == [
        f"file:{MODULES_FILE}",
        "module:nf_conntrack",
        f"file:{SYSCTL_FILE}",
        f"sysctl:{KEY}",
        "helm:cilium",
    ]
    release = desired(facts())[-1]
    assert isinstance(release, HelmRelease)
    (file,) = owned_files(release)
    assert (file.path, file.mode) == (VALUES_FILE, 0o600)
    assert parse_yaml(file.text, "values") == release.values
    assert (release.address, release.chart.version) == ("192.0.2.10", "1.20.5")


@pytest.mark.parametrize("profile", [load("worker"), replace(load("control-plane"), join=Join("192.0.2.1:6443"))])
def test_a_node_that_joins_gets_cilium_from_its_cluster(profile: NodeProfile) -> None:
    kinds = {type(resource) for resource in desired(facts(), profile)}
    assert kinds == {File, KernelModule, Sysctl}


def test_with_kube_proxy_the_kernel_s_table_is_left_to_it() -> None:
    profile = load("single-node", ["cilium.kubeProxyReplacement=false"])
    assert [resource.name for resource in desired(facts(), profile)] == ["helm:cilium"]


def test_what_another_file_asks_for_is_not_lowered() -> None:
    found = {resource.name: resource for resource in desired(facts(cpus=64, other="4194304"))}
    setting, file = found[f"sysctl:{KEY}"], found[f"file:{SYSCTL_FILE}"]
    assert isinstance(setting, Sysctl)
    assert isinstance(file, File)
    assert (setting.value, setting.minimum) == ("4194304", True)
    assert f"{KEY} = 4194304" in file.text


def test_a_module_that_is_built_in_is_not_loaded() -> None:
    assert not any(isinstance(resource, KernelModule) for resource in desired(facts(builtin=("nf_conntrack",))))


def test_what_cilium_makes_does_not_change_what_is_wanted() -> None:
    made = (Link("cilium_host", "veth", addresses=(Address("10.244.0.9", 32),)), Link("lxc1234567890ab", "veth"))
    routes = (DEFAULT, Route("10.244.0.0/24", "10.244.0.9", "cilium_host"))
    assert desired(facts(links=(ETH0, *made), routes=routes)) == desired(facts())


def test_values_with_a_key_in_them_are_shown_as_a_hash() -> None:
    profile = load("single-node", ["cilium.values.tls.ca.key=LS0t"])
    release = desired(facts(), profile)[-1]
    assert release.secret
    assert owned_files(release)[0].secret
