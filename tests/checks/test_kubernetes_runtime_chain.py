"""RuntimeClasses followed to what they lead to: each link seen holding and broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import kubernetes_runtime_chain
from caasctl.facts.containerd_config import ContainerdEffective, Shims
from caasctl.facts.kata import KataConfig, NamedKataConfigs
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.kubernetes_pods import LivePods
from caasctl.model import Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.containerd.tables import CRI_RUNTIME
from caasctl.syntax.live.nodes import Node
from caasctl.syntax.live.others import RuntimeClass
from caasctl.syntax.live.pods import Pod

SHIM, CONFIG = "/opt/kata/bin/containerd-shim-kata-v2", "/etc/kata-containers/caasctl/kata-qemu/configuration-qemu.toml"
KATA = {"runtime_type": "io.containerd.kata-qemu.v2", "runtime_path": SHIM, "options": {"ConfigPath": CONFIG}}
RUNC = {"runtime_type": "io.containerd.runc.v2"}
PARTS = (("path", "/opt/kata/bin/qemu"), ("kernel", "/opt/kata/vmlinux"), ("image", "/opt/kata/kata.img"))
CLASS = RuntimeClass("kata-qemu", "kata-qemu", selector={"caasctl.io/kata-qemu": "true"})
NODE = Node("node1", labels={"caasctl.io/kata-qemu": "true"})
OBJECTS = LiveObjects(asked=True, name="node1", nodes=(NODE,), classes=(CLASS,))
SHIMS = Shims({"containerd-shim-runc-v2": "/usr/bin/containerd-shim-runc-v2"}, {SHIM: True})
CONFIGS = NamedKataConfigs((KataConfig(CONFIG, "qemu", PARTS),))
USED = LivePods(True, "node1", True, (Pod("a", "p", runtime_class="kata-qemu"),))


def effective(**runtimes: object) -> ContainerdEffective:
    return ContainerdEffective({"version": 3, "plugins": {CRI_RUNTIME: {"containerd": {"runtimes": runtimes}}}}, "dump")


def judge(*facts: object, without: type | None = None) -> list[Finding]:
    known = {
        type(one): one for one in (OBJECTS, SHIMS, CONFIGS, USED, effective(runc=RUNC, **{"kata-qemu": KATA}), *facts)
    }
    given = [one for kind, one in known.items() if kind is not without]
    return list(findings(kubernetes_runtime_chain.runtime_chain, Facts(given), load()))


def one(*facts: object, without: type | None = None) -> Finding:
    (found,) = judge(*facts, without=without)
    return found


def test_a_class_that_leads_to_a_guest_passes_with_the_whole_way() -> None:
    found = one()
    assert (found.level, found.subject) == (Level.PASS, "kata-qemu")
    assert found.found == (
        f"kata-qemu -> kata-qemu (io.containerd.kata-qemu.v2) -> {SHIM} -> {CONFIG} -> /opt/kata/bin/qemu, /opt/kata/vmlinux, /opt/kata/kata.img"
    )
    assert judge(LiveObjects()) == []
    plain = one(replace(OBJECTS, classes=(RuntimeClass("plain", "runc"),)))
    assert plain.found == "plain -> runc (io.containerd.runc.v2) -> /usr/bin/containerd-shim-runc-v2"


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (effective(runc=RUNC), "handler: containerd has no handler kata-qemu, only runc"),
        (Shims(by_path={SHIM: False}), f"shim: {SHIM} is not there, or not executable"),
        (effective(**{"kata-qemu": {**RUNC, "runtime_type": "io.containerd.kata-qemu.v2"}}), "shim: containerd-shim-kata-qemu-v2 is not on the PATH"),
        (NamedKataConfigs(absent=(CONFIG,)), f"Kata configuration: {CONFIG} is not there"),
        (effective(**{"kata-qemu": {**KATA, "options": {}}}), "Kata configuration: none named for kata-qemu"),
        (NamedKataConfigs((KataConfig(CONFIG, "qemu", PARTS, ("path /opt/kata/bin/qemu", "kernel /opt/kata/vmlinux")),)),
         "kernel and image: hypervisor /opt/kata/bin/qemu, kernel /opt/kata/vmlinux: not there"),
        (NamedKataConfigs((KataConfig(CONFIG, "qemu", PARTS[:2]),)), "names neither image nor initrd"),
    ],
)  # fmt: skip
def test_the_first_broken_link_is_named(fact: object, said: str) -> None:
    found = one(fact)
    assert found.level is Level.FAIL
    assert said in found.found
    assert found.fix
    assert "caasctl init-node" in found.fix.text
    assert found.cause
    assert one(fact, LivePods(True, "node1")).level is Level.WARN


@pytest.mark.parametrize("fact", [ContainerdEffective, Shims, NamedKataConfigs])
def test_what_could_not_be_looked_at_is_no_broken_link(fact: type) -> None:
    assert one(without=fact).level is Level.UNKNOWN


def test_containerd_that_does_not_take_its_files_is_not_judged() -> None:
    found = one(ContainerdEffective(error="containerd: failed to load TOML"))
    assert (found.level, found.found) == (
        Level.UNKNOWN,
        "handler could not be looked at: containerd: failed to load TOML",
    )


def test_where_a_shim_is_told_nothing_it_takes_the_usual_file() -> None:
    usual = NamedKataConfigs((KataConfig("/etc/kata-containers/configuration.toml", "qemu", PARTS),))
    assert one(effective(**{"kata-qemu": {**KATA, "options": {}}}), usual).level is Level.PASS


def test_a_class_for_other_nodes_is_not_this_nodes_matter_and_one_for_none_is_wrong() -> None:
    other = Node("node2", labels={"gpu": "yes"})
    elsewhere = replace(OBJECTS, nodes=(NODE, other), classes=(replace(CLASS, handler="x", selector={"gpu": "yes"}),))
    assert (one(elsewhere).level, one(elsewhere).found) == (Level.PASS, "not for this node: gpu=yes")
    nobody = one(replace(elsewhere, nodes=(NODE,)))
    assert (nobody.level, nobody.found) == (Level.FAIL, "no node has gpu=yes")
    assert nobody.fix
    assert nobody.fix.text == "kubectl label node node1 gpu=yes"
