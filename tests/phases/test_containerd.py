"""What the phase desires: by version and by what is foreign, never by what it brought about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.facts.containerd import ContainerdBinaries, ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig
from caasctl.facts.kata import KataTree, KataTrees
from caasctl.model import HEADER, Facts
from caasctl.phases.containerd import PHASE, MergeCrictl
from caasctl.profile import Kubernetes, Metadata, NodeProfile, Spec
from caasctl.protocol import Known, Resource
from caasctl.resources.containerd import ContainerdActivation
from caasctl.resources.files import Transaction
from caasctl.syntax.containerd.imports import config_file
from caasctl.syntax.containerd.tables import DROP_IN, MAIN

PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("t"), Spec(Kubernetes("v1.36.4")))
ONE = ContainerdBinaries(("/usr/bin/containerd",), "/usr/bin/containerd")
DOCKER = '# Docker Inc.\ndisabled_plugins = ["cri"]\n'


def desired(
    version: tuple[int, int, int], text: str | None, *more: object, profile: NodeProfile = PROFILE
) -> list[Resource]:
    config = ContainerdConfig(MAIN, (config_file(MAIN, text),))
    return list(PHASE.desired(Facts([ONE, ContainerdVersion(version), config, *more]), profile))


def transaction(resources: list[Resource]) -> Transaction:
    (found,) = [
        resource for resource in resources if isinstance(resource, Transaction) and resource.name == "containerd"
    ]
    return found


def test_1x_has_one_file_and_2x_the_drop_in_before_the_main_file() -> None:
    assert [file.path for file in transaction(desired((1, 7, 24), DOCKER)).members] == [MAIN]
    assert [file.path for file in transaction(desired((2, 1, 9), DOCKER)).members] == [DROP_IN, MAIN]


def test_resources_come_in_the_order_in_which_they_must_be_done() -> None:
    names = [resource.name for resource in desired((2, 1, 9), None)]
    assert names == ["proxy:containerd", "unit:containerd.service", "containerd", "file:/etc/crictl.yaml"]


@pytest.mark.parametrize("version", [(1, 6, 20), (1, 7, 24), (2, 1, 9), (2, 3, 4)])
@pytest.mark.parametrize("text", [None, DOCKER, "version = 2\n", "[plugins.cri]\na = 1\n"])
def test_the_same_is_desired_before_and_after(version: tuple[int, int, int], text: str | None) -> None:
    before = desired(version, text)
    members = transaction(before).members
    merged = members[-1].target(Known(text or "", 0o644))
    assert isinstance(merged, Known)
    assert desired(version, merged.text) == before


def test_without_containerd_nothing_is_desired() -> None:
    assert list(PHASE.desired(Facts([ContainerdBinaries(), ContainerdVersion()]), PROFILE)) == []


def test_the_handlers_follow_the_profile_and_the_tree() -> None:
    config = "/opt/kata/share/defaults/kata-containers/runtimes/qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml"
    trees = KataTrees((KataTree("/opt/kata", "4.0.0", "/opt/kata/bin/containerd-shim-kata-v2", "", (config,)),))
    gpu = replace(PROFILE, spec=replace(PROFILE.spec, runtimes=("runc", "kata-qemu-nvidia-gpu")))
    activation = transaction(desired((2, 1, 9), None, trees, profile=gpu)).activation
    assert isinstance(activation, ContainerdActivation)
    assert activation.wanted.names == ("runc", "kata-qemu-nvidia-gpu")
    assert activation.wanted.handlers[0].config_path == config
    assert activation.wanted.handlers[0].annotations[-1] == "io.katacontainers.config.hypervisor.kernel_verity_params"


def test_a_configuration_elsewhere_is_the_one_that_is_merged() -> None:
    config = ContainerdConfig("/etc/ctd.toml", (config_file("/etc/ctd.toml", None),))
    resources = list(PHASE.desired(Facts([ONE, ContainerdVersion((1, 7, 24)), config]), PROFILE))
    assert [file.path for file in transaction(resources).members] == ["/etc/ctd.toml"]


def test_a_foreign_crictl_yaml_stays_and_ours_is_renewed() -> None:
    merge = MergeCrictl()
    assert merge("runtime-endpoint: unix:///run/crio/crio.sock\n") == "runtime-endpoint: unix:///run/crio/crio.sock\n"
    ours = merge(None)
    assert ours == merge(HEADER + "old: 1\n") == merge(ours)
    assert "runtime-endpoint: unix:///run/containerd/containerd.sock" in ours
