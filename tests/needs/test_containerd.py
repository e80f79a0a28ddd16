"""What a node needs of containerd: handlers on the tree that is there, the pause image of the Kubernetes version."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl import profile_load
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.kata import KataTree, KataTrees
from caasctl.model import Facts
from caasctl.needs.containerd import BETTER, handler, pause_tag, refusal, wanted
from caasctl.syntax.containerd.wanted import Handler

CONFIGS = "/opt/kata/share/defaults/kata-containers"
GO = KataTree(
    "/opt/kata", "3.20.0", "/opt/kata/bin/containerd-shim-kata-v2", "", (f"{CONFIGS}/configuration-qemu.toml",)
)
RUST_CONFIG = f"{CONFIGS}/runtime-rs/configuration-qemu-runtime-rs.toml"
RUST = KataTree("/opt/kata", "4.1.0", "", "/opt/kata/runtime-rs/bin/containerd-shim-kata-v2", (RUST_CONFIG,))


MAY = tuple(
    f"io.katacontainers.config.hypervisor.{name}" for name in ("enable_iommu", "kernel_params", "kernel_verity_params")
)
OWN = "/etc/kata-containers/caasctl/kata-qemu/configuration-qemu.toml"
GPU = PciFunctions((PciFunction("0000:65:00.0", "10de", "2236", "030200"),))
NEW = ["kata.source=/srv/kata-go-static-4.1.0-amd64.tar.zst", f"kata.sha256={'a' * 64}"]


def test_caasctls_own_configuration_is_used_where_phase_kata_writes_it() -> None:
    trees = Facts([KataTrees((GO,))])
    assert [each.config_path for each in wanted(trees, profile_load.load()).handlers] == [
        OWN,
        f"{CONFIGS}/configuration-clh.toml",
    ]
    to_come = profile_load.load(settings=NEW)
    assert [each.config_path.rpartition("/")[0] for each in wanted(Facts(), to_come).handlers] == [
        "/etc/kata-containers/caasctl/kata-qemu",
        "/etc/kata-containers/caasctl/kata-clh",
    ]
    deployed = replace(GO, configs=(f"{CONFIGS}/runtimes/qemu/configuration-qemu.toml",))  # kata-deploy's
    assert wanted(Facts([KataTrees((deployed,))]), profile_load.load()).handlers[0].config_path == deployed.configs[0]


@pytest.mark.parametrize(
    ("settings", "gpus", "names"),
    [
        ((), True, ("kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu")),
        ((), False, ("kata-qemu", "kata-clh")),
        (("gpu.passthrough=off",), True, ("kata-qemu", "kata-clh")),
        (("gpu.passthrough=required",), False, ("kata-qemu", "kata-clh", "kata-qemu-nvidia-gpu")),
        (("runtimes=[runc]",), True, ()),
        (("runtimes=[runc]", "gpu.passthrough=required"), True, ("kata-qemu-nvidia-gpu",)),
        (("gpu.exclude=['65:00.0']",), True, ("kata-qemu", "kata-clh")),
        (("runtimes=[runc, kata-qemu-nvidia-gpu]",), True, ("kata-qemu-nvidia-gpu",)),
    ],
)
def test_gpus_that_are_passed_through_bring_their_handler(
    settings: tuple[str, ...], names: tuple[str, ...], *, gpus: bool
) -> None:
    facts = Facts([GPU if gpus else PciFunctions(())])
    assert wanted(facts, profile_load.load(settings=list(settings))).names == ("runc", *names)


def test_a_handler_takes_the_shim_that_has_its_configuration() -> None:
    assert handler("kata-qemu", GO) == Handler("kata-qemu", GO.go_shim, GO.configs[0])
    assert handler("kata-qemu", RUST) == Handler("kata-qemu", RUST.rust_shim, RUST_CONFIG)
    both = replace(GO, rust_shim=RUST.rust_shim, configs=(RUST_CONFIG, *GO.configs))
    assert handler("kata-qemu", both) == Handler("kata-qemu", GO.go_shim, GO.configs[0])
    assert handler("kata-qemu", replace(both, configs=(RUST_CONFIG,))) == handler("kata-qemu", RUST)


def test_without_a_tree_it_is_where_a_release_will_put_it() -> None:
    (qemu, _) = wanted(Facts([KataTrees((replace(GO, prefix="/opt/kata-other"),))]), profile_load.load()).handlers
    assert qemu == Handler("kata-qemu", GO.go_shim, GO.configs[0], MAY)
    assert wanted(Facts(), profile_load.load()).handlers[0] == qemu


def test_a_folder_of_its_own_is_preferred() -> None:
    own = f"{CONFIGS}/runtimes/qemu/configuration-qemu.toml"
    assert handler("kata-qemu", replace(GO, configs=(*GO.configs, own))).config_path == own


@pytest.mark.parametrize(
    ("minor", "tag"),
    [((1, 30), "3.10"), ((1, 33), "3.10"), ((1, 34), "3.10.1"), ((1, 36), "3.10.2"), ((1, 40), "3.10.2")],
)
def test_the_pause_image_follows_kubernetes(minor: tuple[int, int], tag: str) -> None:
    assert pause_tag(minor) == tag


def test_a_pause_image_of_the_profile_is_taken_as_it_is() -> None:
    assert wanted(Facts(), profile_load.load()).sandbox_image == "registry.k8s.io/pause:3.10.2"
    own = profile_load.load(settings=["containerd.sandboxImage=example.test/pause:9"])
    assert wanted(Facts(), own).sandbox_image == "example.test/pause:9"


SAYS_NO = "waivers=[{{check: containerd.wanted, reason: a trial, owner: me, expires: '{}'}}]"


@pytest.mark.parametrize(
    ("settings", "chosen", "problem"),
    [
        (("kubernetes.version=v1.38.0",), {"containerd": "1.6.20~ds1-1+b1"}, "containerd 1.6.20~ds1-1+b1 does not go with Kubernetes 1.38"),
        (("kubernetes.version=v1.38.0",), {"containerd.io": "1:1.7.29-1"}, "containerd.io 1.7.29-1 does not go with Kubernetes 1.38"),
        (("kubernetes.version=v1.38.0", SAYS_NO.format("2020-01-31")), {"containerd": "1.7.2"}, "containerd 1.7.2 does not go with Kubernetes 1.38"),
        (("kubernetes.version=v1.38.0", SAYS_NO.format("2999-01-31")), {"containerd": "1.7.2"}, ""),
        (("kubernetes.version=v1.38.0",), {"containerd": "2.3.1", "runc": "1.1.5"}, ""),
        (("kubernetes.version=v1.38.0",), {"runc": "1.1.5", "containerd": "rubbish"}, ""),
        (("kubernetes.version=v1.36.4",), {"containerd": "1.6.20~ds1-1+b1"}, ""),  # it runs, and containerd.supported warns of it
    ],
)  # fmt: skip
def test_what_apt_chose_is_refused_where_the_check_would_fail(
    settings: tuple[str, ...], chosen: dict[str, str], problem: str
) -> None:
    found = refusal(profile_load.load(settings=settings), chosen)
    assert (found.problem if found else "") == problem
    if found:
        assert "no fallback since 1.38" in found.cause
        assert BETTER in found.fix
