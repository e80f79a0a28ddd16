"""Checks of how Kata's handlers are set up, and of the tarball that brings them, each seen passing and failing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import boot_hugepages, kata, kata_config, kata_source
from caasctl.facts.boot import CommandLine, Hugepages, PageSize
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.kata import KataConfig, KataConfigs, KataTree, KataTrees
from caasctl.facts.kata_host import Machine, Zstd
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.facts.os import Glibc, Memory
from caasctl.facts.os_system import Disk, Space
from caasctl.model import Check, Facts, Finding, Level, findings
from caasctl.profile_load import load
from caasctl.syntax.containerd.imports import config_file
from caasctl.syntax.containerd.tables import DROP_IN, MAIN
from caasctl.syntax.kata_release import own_configuration

BASE = "/opt/kata/share/defaults/kata-containers"
NAMES = ("qemu", "clh", "qemu-nvidia-gpu")
TREE = KataTree(
    "/opt/kata",
    "4.1.0",
    "/opt/kata/bin/containerd-shim-kata-v2",
    "",
    tuple(f"{BASE}/configuration-{name}.toml" for name in NAMES),
)
GPUS = PciFunctions(tuple(PciFunction(f"0000:{bus}:00.0", "10de", "2236", "030200") for bus in ("65", "66")))
NONE = PciFunctions(())
MAY = ("enable_iommu", "kernel_params", "kernel_verity_params")
PREFIX = "io.katacontainers.config.hypervisor."
KATA = ("runtimes=[runc, kata-qemu]", "gpu.passthrough=off")
SOURCE = "/srv/kata-go-static-4.1.0-amd64.tar.zst"
GIB = 1024 * 1024


def judge(check: Check, *facts: object, settings: tuple[str, ...] = ()) -> list[Finding]:
    given = {
        type(fact): fact
        for fact in (KataTrees((TREE,)), KataConfigs(), NONE, Kubelet(installed=True), Cluster(), *facts)
    }
    return list(findings(check, Facts(given.values()), load(settings=list(settings))))


def one(check: Check, *facts: object, settings: tuple[str, ...] = ()) -> Finding:
    (found,) = judge(check, *facts, settings=settings)
    return found


def text(found: Finding) -> str:
    return found.fix.text if found.fix else ""


def config(name: str = "kata-qemu", path: str = "", **more: object) -> KataConfigs:
    given: dict[str, object] = {"annotations": MAY, **more}
    return KataConfigs((KataConfig(path or own_configuration(name), "clh" if "clh" in name else "qemu", **given),))  # type: ignore[arg-type]


# -- annotations -------------------------------------------------------------------------------------------------------
def containerd(*globs: str, files: dict[str, str] | None = None) -> tuple[object, ...]:
    table = {"kata-qemu": {"runtime_type": "x", "pod_annotations": list(globs)}}
    data = {"version": 3, "plugins": {"io.containerd.cri.v1.runtime": {"containerd": {"runtimes": table}}}}
    return ContainerdEffective(data), ContainerdConfig(
        MAIN, tuple(config_file(path, said) for path, said in (files or {}).items())
    )


def test_names_that_stay_in_the_guest_pass() -> None:
    globs = [PREFIX + name for name in MAY]
    assert (
        one(kata_config.pod_annotations, config(), *containerd(*globs), settings=KATA).found
        == "may set enable_iommu, kernel_params, kernel_verity_params"
    )
    assert (
        one(kata_config.pod_annotations, config(annotations=()), *containerd(), settings=KATA).found
        == "may set nothing"
    )


@pytest.mark.parametrize(
    ("entry", "reached"),
    [
        ("path", "path"),
        ("kernel", "kernel"),
        ("image", "image"),
        (".*", "path"),
        ("", "path"),
        ("virtio_fs", "virtio_fs_daemon"),
        ("(?i", "path"),
    ],
)
def test_what_names_files_of_the_host_fails_also_as_a_pattern(entry: str, reached: str) -> None:
    found = one(kata_config.pod_annotations, config(annotations=(entry,)), settings=KATA)
    assert found.level is Level.FAIL
    assert f"lets a pod set {reached}" in found.found
    assert own_configuration("kata-qemu") in text(found)
    if entry.isidentifier():
        of_profile = one(kata_config.pod_annotations, settings=(*KATA, f"kata.annotations=[{entry}]"))
        assert "out of spec.kata.annotations" in text(of_profile)


def test_a_whole_configuration_of_a_pods_own_fails() -> None:
    mine = {
        MAIN: "version = 3\n",
        "/etc/containerd/conf.d/kata-deploy.toml": 'pod_annotations = ["io.katacontainers.*"]\n',
    }
    found = one(kata_config.pod_annotations, config(), *containerd("io.katacontainers.*", files=mine), settings=KATA)
    assert (found.level, found.fixed_by) == (Level.FAIL, "")
    assert "in /etc/containerd/conf.d/kata-deploy.toml: take io.katacontainers.*" in text(found)
    ours = {MAIN: "version = 3\n", DROP_IN: mine["/etc/containerd/conf.d/kata-deploy.toml"]}
    assert (
        one(kata_config.pod_annotations, config(), *containerd("io.*", files=ours), settings=KATA).fixed_by
        == "containerd"
    )


def test_what_kata_takes_and_containerd_keeps_back_is_said() -> None:
    found = one(kata_config.pod_annotations, config(), *containerd(PREFIX + "enable_iommu"), settings=KATA)
    assert (found.level, found.fixed_by) == (Level.WARN, "containerd")
    assert found.found == "containerd does not hand on kernel_params, kernel_verity_params"


# -- timeouts ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "seconds"), [("20m0s", 1200), ("2m", 120), ("1h0m0s", 3600), ("1.5m", 90), ("900ms", 0.9), ("20", None), ("", None), ("2m x", None)]
)  # fmt: skip
def test_durations_of_go(said: str, seconds: float | None) -> None:
    assert kata_config.parse_duration(said) == seconds


def test_before_there_is_a_kubelet_the_profile_decides() -> None:
    settings = ("runtimes=[runc, kata-qemu-nvidia-gpu]",)
    assert (
        one(kata_config.timeouts, GPUS, settings=settings).found
        == "the kubelet 20m0s, Kata 20m0s, with 2 GPUs to be passed through"
    )
    found = one(kata_config.timeouts, GPUS, settings=(*settings, "kubernetes.kubelet={runtimeRequestTimeout: 4m0s}"))
    assert (found.level, found.found) == (
        Level.FAIL,
        "the kubelet gives up after 4m0s, Kata after 20m0s, with 2 GPUs to be passed through",
    )
    assert text(found) == "spec.kubernetes.kubelet.runtimeRequestTimeout: 20m0s in the profile"


def test_a_kubelet_that_runs_says_itself_how_long_it_waits() -> None:
    kubelet = Kubelet(installed=True, config={})
    assert [f.level for f in judge(kata_config.timeouts, GPUS, kubelet)] == [
        Level.PASS
    ] * 3  # kubeadm will write it anew
    begun = Cluster(kubelet_conf=True)
    found = judge(kata_config.timeouts, GPUS, kubelet, begun)
    assert [(f.level, f.subject) for f in found] == [
        (Level.PASS, "kata-qemu"),
        (Level.PASS, "kata-clh"),
        (Level.FAIL, "kata-qemu-nvidia-gpu"),
    ]
    assert (
        text(found[2]) == "runtimeRequestTimeout: 20m0s in /var/lib/kubelet/config.yaml, then systemctl restart kubelet"
    )
    (slow,) = judge(kata_config.timeouts, kubelet, begun, config(create_timeout_s=600), settings=KATA)
    assert (slow.level, slow.found) == (Level.WARN, "the kubelet gives up after 2m0s, Kata after 10m0s")


def test_a_gpu_handler_that_has_no_patience_warns() -> None:
    short = config("kata-qemu-nvidia-gpu", f"{BASE}/configuration-qemu-nvidia-gpu.toml", create_timeout_s=60)
    found = judge(kata_config.timeouts, GPUS, short)[-1]
    assert (found.level, found.fixed_by) == (Level.WARN, "kata")


# -- the handler of GPUs -----------------------------------------------------------------------------------------------
def test_gpus_by_their_handler_pass() -> None:
    assert one(kata_config.gpu_handler, GPUS).found == "2 GPUs by kata-qemu-nvidia-gpu"
    assert judge(kata_config.gpu_handler, NONE) == []
    assert judge(kata_config.gpu_handler, GPUS, settings=("gpu.passthrough=off",)) == []
    assert judge(kata_config.gpu_handler, GPUS, settings=("runtimes=[runc]",)) == []


def test_gpus_on_kata_clh_fail_with_the_handler_to_use() -> None:
    found = one(kata_config.gpu_handler, GPUS, settings=("runtimes=[runc, kata-clh]",))
    assert (found.level, found.subject) == (Level.FAIL, "kata-clh")
    assert "runtimeClassName: kata-qemu-nvidia-gpu" in text(found)
    assert "IommuDmaMap" in found.cause
    default = one(kata_config.gpu_handler, GPUS, settings=("containerd.defaultRuntime=kata-clh",))
    assert (default.subject, text(default)) == ("defaultRuntime", "spec.containerd.defaultRuntime: runc")
    tried = one(kata_config.gpu_handler, GPUS, config("kata-clh", cold_plug="root-port"))
    assert tried.found == "kata-clh is set up to take GPUs"


def test_a_tree_without_the_handler_fails() -> None:
    old = KataTrees((replace(TREE, version="3.2.0", configs=TREE.configs[:2]),))
    assert one(kata_config.gpu_handler, GPUS, old).found == "/opt/kata 3.2.0 has nothing for kata-qemu-nvidia-gpu"
    assert (
        one(kata_config.gpu_handler, GPUS, old, settings=(f"kata.source={SOURCE}", f"kata.sha256={'a' * 64}")).level
        is Level.PASS
    )


@pytest.mark.parametrize(
    ("cold", "hot", "level"),
    [
        ("root-port", "no-port", Level.PASS),
        ("no-port", "no-port", Level.FAIL),
        ("", "", Level.FAIL),
        ("root-port", "root-port", Level.FAIL),
    ],
)
def test_the_ports_of_a_configuration_that_is_not_ours_are_judged(cold: str, hot: str, level: Level) -> None:
    path = f"{BASE}/runtimes/qemu-nvidia-gpu/configuration-qemu-nvidia-gpu.toml"
    deployed = KataTrees((replace(TREE, configs=(*TREE.configs, path)),))
    assert one(kata_config.gpu_handler, GPUS, deployed, config(path=path, cold_plug=cold, hot_plug=hot)).level is level


# -- the tarball -------------------------------------------------------------------------------------------------------
HOST = (Machine("x86_64"), Zstd("/usr/bin/zstd"), Glibc((2, 36)), Disk((Space("/opt", "/", 100 * GIB, 50 * GIB),)))


def from_source(source: str, *facts: object, gpus: PciFunctions = NONE) -> list[Finding]:
    return judge(
        kata_source.source,
        KataTrees(),
        *HOST,
        gpus,
        *facts,
        settings=(f"kata.source={source}", f"kata.sha256={'A' * 64}"),
    )


def test_a_tarball_that_fits_passes_and_so_does_one_that_is_installed() -> None:
    assert [f.found for f in from_source(SOURCE)] == ["Kata 4.1.0 for amd64"]
    assert [f.level for f in from_source("https://mirror.example/kata.tar.xz")] == [Level.PASS]
    installed = KataTrees((replace(TREE, source="a" * 64),))
    assert [f.found for f in from_source(SOURCE, installed, Zstd(), Machine("aarch64"))] == [
        f"installed: Kata 4.1.0, sha256:{'a' * 12}"
    ]
    assert judge(kata_source.source, *HOST) == []


@pytest.mark.parametrize(
    ("source", "facts", "subject", "words"),
    [
        (SOURCE, (Zstd(),), "zstd", "apt-get install -y zstd"),
        (SOURCE, (Machine("aarch64"),), "processor", "-arm64.tar.zst"),
        ("/srv/kata-tools-static-4.1.0-amd64.tar.zst", (), "shim", "kata-go-static"),
        ("/srv/kata-static-3.20.0-amd64.tar.xz", (Glibc((2, 31)),), "glibc", "kata-go-static"),
        ("/srv/kata-static-3.20.0-amd64.tar.xz", (Glibc((0, 0)),), "glibc", "kata-go-static"),
        (SOURCE, (Disk((Space("/opt", "/", 9 * GIB, GIB),)),), "/opt", "make room on /"),
    ],
)
def test_a_tarball_that_does_not_fit_fails(source: str, facts: tuple[object, ...], subject: str, words: str) -> None:
    (found,) = from_source(source, *facts)
    assert (found.level, found.subject) == (Level.FAIL, subject)
    assert words in text(found)


def test_the_rust_shim_alone_warns_and_fails_where_gpus_are_passed_through() -> None:
    rust = "/srv/kata-static-4.1.0-amd64.tar.zst"
    assert [(f.level, f.subject) for f in from_source(rust)] == [(Level.WARN, "shim")]
    assert [f.level for f in from_source(rust, gpus=GPUS)] == [Level.FAIL]
    assert [f.level for f in from_source("/srv/kata-static-4.0.0-amd64.tar.zst")] == [Level.PASS]


def test_a_tree_that_will_be_replaced_is_the_phases_to_mend() -> None:
    settings = (f"kata.source={SOURCE}", f"kata.sha256={'a' * 64}", *KATA)
    assert [(f.level, f.fixed_by) for f in judge(kata.tree, KataTrees(), settings=settings)] == [(Level.FAIL, "kata")]
    old = KataTrees((replace(TREE, go_shim=""),))
    assert [(f.level, f.fixed_by) for f in judge(kata.tree, old, settings=settings)] == [(Level.FAIL, "kata")]
    assert [f.fixed_by for f in judge(kata.tree, old, settings=KATA)] == [""]


def test_a_configuration_that_containerd_names_and_nobody_wrote_is_said() -> None:
    table = {"kata-qemu": {"runtime_type": "x", "options": {"ConfigPath": own_configuration("kata-qemu")}}}
    effective = ContainerdEffective(
        {"version": 3, "plugins": {"io.containerd.cri.v1.runtime": {"containerd": {"runtimes": table}}}}
    )
    found = judge(kata.tree, effective, settings=KATA)[0]
    assert (found.level, found.fixed_by) == (Level.FAIL, "kata")
    assert "which is not there" in found.found
    assert [f.level for f in judge(kata.tree, effective, config(), settings=KATA)] == [Level.PASS]


# -- hugepages ---------------------------------------------------------------------------------------------------------
def pages(**nodes: int) -> Hugepages:
    by_node = {int(name[1:]): count for name, count in nodes.items()}
    total = sum(by_node.values())
    return Hugepages((PageSize(2048, 0, 0, dict.fromkeys(by_node, 0)), PageSize(GIB, total, total, by_node)))


HUGE = boot_hugepages.hugepages_per_node


def test_pages_on_each_node_pass() -> None:
    assert one(HUGE, pages(n0=8, n1=8), settings=("runtimes=[runc]",)).found == "node 0: 8, node 1: 8"
    assert judge(HUGE, pages(n0=0, n1=0)) == []


def test_pages_on_one_node_only_warn() -> None:
    found = one(HUGE, pages(n0=16, n1=0), settings=("runtimes=[runc]",))
    assert (found.level, found.found, found.subject) == (Level.WARN, "node 0: 16, node 1: 0", "1 GiB")
    assert "hugepages=0:8,1:8" in text(found)


def test_a_node_that_got_fewer_than_asked_is_named() -> None:
    asked = CommandLine("ro hugepagesz=1G hugepages=0:8,1:8")
    found = one(HUGE, pages(n0=8, n1=5), asked, settings=("runtimes=[runc]",))
    assert (found.level, found.wanted) == (Level.WARN, "hugepages=0:8,1:8")
    assert "node 1" in text(found)
    assert (
        one(HUGE, pages(n0=8, n1=5), asked, settings=("runtimes=[runc]", "boot.hugepages={size: 1Gi, count: 16}")).level
        is Level.FAIL
    )


def test_pages_that_no_handler_takes_are_said_with_what_is_left() -> None:
    unused = judge(HUGE, pages(n0=906), config(), Memory(1007 * GIB, 100 * GIB), settings=KATA)[-1]
    assert (unused.level, unused.subject) == (Level.WARN, "Kata")
    assert (
        unused.found
        == "906 GiB in hugepages, which no Kata handler takes; 101 GiB of 1007 GiB left for pods and guests"
    )
    assert [f.level for f in judge(HUGE, pages(n0=906), config(hugepages=True), settings=KATA)] == [Level.PASS]
