"""What phase kata desires, and what comes of it on a tree: a run by the engine, a second one, another profile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.lab import kata as tarballs

from caasctl import planning
from caasctl.checks import CHECKS
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.kata import KataTree, KataTrees, read_configs, read_trees
from caasctl.facts.kata_host import Machine
from caasctl.facts.os import Glibc
from caasctl.formats import FormatError, parse_toml
from caasctl.host import LiveHost
from caasctl.model import Facts
from caasctl.needs.kata import gpu_ports
from caasctl.phases.kata import PHASE
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.protocol import Done, Known, Resource
from caasctl.resources.kata.configuration import VendorCopy

SOURCE = "/srv/kata-go-static-4.1.0-amd64.tar.xz"
ETC = "/etc/kata-containers/caasctl"
A10 = tuple(PciFunction(f"0000:{bus}:00.0", "10de", "2236", "030200") for bus in ("65", "66", "b1", "b2"))
HOST = (Machine("x86_64"), Glibc((2, 36)), KataTrees(), PciFunctions(()))


def facts(*more: object) -> Facts:
    return Facts({type(fact): fact for fact in (*HOST, *more)}.values())


def desired(profile: NodeProfile, *more: object) -> list[Resource]:
    return list(PHASE.desired(facts(*more), profile))


def sourced(
    top: Path, *settings: str, entries: list[tarballs.Entry] | None = None, source: str = SOURCE
) -> NodeProfile:
    digest = tarballs.write(Path(f"{top}{source}"), tarballs.release() if entries is None else entries)
    return load(settings=[f"kata.source={source}", f"kata.sha256={digest.upper()}", *settings])


def run(host: LiveHost, profile: NodeProfile, *more: object) -> list[str]:
    """One run of the phase without the engine's bookkeeping: names of what was changed."""
    changed = []
    for resource in desired(profile, read_trees(host), *more):
        now = resource.look(host)
        if resource.target(now) != now:
            assert resource.apply(host, now) == Done()
            changed.append(resource.name)
    return changed


def settings(host: LiveHost, path: str) -> dict[str, object]:
    return parse_toml(host.read(path) or "", path)


def test_nothing_is_desired_without_kata_or_without_a_tree_to_take() -> None:
    assert desired(load(settings=["runtimes=[runc]"])) == []
    assert desired(load()) == []
    assert planning.idle(PHASE, facts(), load())


def test_a_gate_holds_back_a_phase_that_has_something_to_bring_only() -> None:
    assert {check.id for check in CHECKS if "kata" in check.gates} >= {
        "kata.kvm",
        "kata.source",
        "kata.glibc",
        "kata.vsock_conflict",
    }
    tree = KataTree("/opt/kata", "4.1.0", *(tarballs.SHIM, ""), ("/x/configuration-qemu.toml",))
    assert not planning.idle(PHASE, facts(KataTrees((tree,))), load())


def test_the_tree_comes_first_and_what_is_made_of_it_follows(tmp_path: Path) -> None:
    profile = sourced(tmp_path)
    found = desired(profile)
    assert [resource.name for resource in found] == [
        "kata:/opt/kata",
        *(
            f"file:{ETC}/{name}"
            for handler in ("qemu", "clh")
            for name in (f"kata-{handler}/configuration-{handler}.toml", f"kata-{handler}/config.d/60-caasctl.toml")
        ),
    ]
    assert {resource.after for resource in found[1:]} == {("kata:/opt/kata",)}


@pytest.mark.parametrize("rust", [False, True])
def test_the_same_is_desired_before_and_after_and_a_second_run_changes_nothing(tmp_path: Path, *, rust: bool) -> None:
    host, profile = LiveHost(str(tmp_path)), sourced(tmp_path, entries=tarballs.release(go=not rust, rust=rust))
    before = desired(profile, read_trees(host))
    assert run(host, profile) == [resource.name for resource in before]
    assert desired(profile, read_trees(host)) == before
    assert run(host, profile) == []
    assert list(planning.differ(host, PHASE, before)) == []


def test_a_dry_run_shows_what_follows_from_a_tree_that_is_not_there_yet(tmp_path: Path) -> None:
    host, profile = LiveHost(str(tmp_path)), sourced(tmp_path)
    changes = list(planning.differ(host, PHASE, desired(profile)))
    assert [change.because for change in changes] == [(), *[("kata:/opt/kata",)] * 4]
    assert not any(change.provisional for change in changes)
    files: dict[str, object] = {}  # as `caasctl render` asks for them: what cannot be known is left out
    for resource in desired(profile):
        for file in getattr(resource, "members", ()):
            wanted = file.target(file.look(host))
            files |= {file.path: wanted} if isinstance(wanted, Known) else {}
    assert files == {}


def test_a_tree_that_is_there_is_adopted_and_only_read(tmp_path: Path) -> None:
    host = LiveHost(str(tmp_path))
    run(host, sourced(tmp_path))
    mine = tmp_path / "opt/theirs"
    shutil.copytree(tmp_path / "opt/kata", mine, symlinks=True)
    (mine / ".caasctl.json").unlink()
    (tmp_path / "opt/kata").unlink()
    mine.rename(tmp_path / "opt/kata")
    shutil.rmtree(tmp_path / "etc")
    before = sorted(path.name for path in (tmp_path / "opt").rglob("*"))
    assert [name.partition(":")[0] for name in run(host, load())] == ["file"] * 4
    assert run(host, load()) == []
    assert sorted(path.name for path in (tmp_path / "opt").rglob("*")) == before


def test_the_vendors_settings_stay_and_ours_are_laid_over(tmp_path: Path) -> None:
    host, profile = LiveHost(str(tmp_path)), sourced(tmp_path, "kata.annotations=[kernel_params]")
    run(host, profile)
    vendor = settings(host, "/opt/kata/share/defaults/kata-containers/configuration-qemu.toml")
    copy = settings(host, f"{ETC}/kata-qemu/configuration-qemu.toml")
    assert "enable_annotations" not in copy["hypervisor"]["qemu"]  # type: ignore[index]
    vendor["hypervisor"]["qemu"].pop("enable_annotations")  # type: ignore[index]
    assert copy == vendor
    assert settings(host, f"{ETC}/kata-qemu/config.d/60-caasctl.toml") == {
        "hypervisor": {"qemu": {"enable_annotations": ["kernel_params"]}},
        "runtime": {"sandbox_cgroup_only": True},
    }
    clh = settings(host, f"{ETC}/kata-clh/config.d/60-caasctl.toml")
    assert clh["hypervisor"] == {"clh": {"enable_annotations": ["kernel_params"]}}
    assert "written by caasctl" in (host.read(f"{ETC}/kata-qemu/configuration-qemu.toml") or "").lower()


GPU_GO = {
    "hypervisor": {
        "qemu": {
            "enable_annotations": ["enable_iommu", "kernel_params", "kernel_verity_params"],
            "cold_plug_vfio": "root-port",
            "pcie_root_port": 8,
            "hot_plug_vfio": "no-port",
        }
    },
    "agent": {"kata": {"dial_timeout": 1200}},
    "runtime": {
        "sandbox_cgroup_only": True,
        "pod_resource_api_sock": "/var/lib/kubelet/pod-resources/kubelet.sock",
        "create_container_timeout": 1200,
    },
}


def test_the_handler_of_gpus_is_told_where_they_go_and_how_long_that_takes(tmp_path: Path) -> None:
    host, profile, gpus = LiveHost(str(tmp_path)), sourced(tmp_path), PciFunctions(A10)
    run(host, profile, gpus)
    assert settings(host, f"{ETC}/kata-qemu-nvidia-gpu/config.d/60-caasctl.toml") == GPU_GO
    found = read_configs(host).in_effect("kata-qemu-nvidia-gpu", None)
    assert found is not None
    assert (found.cold_plug, found.hot_plug, found.create_timeout_s) == ("root-port", "no-port", 1200)


def test_the_rust_shim_is_told_in_its_own_words(tmp_path: Path) -> None:
    host, profile = LiveHost(str(tmp_path)), sourced(tmp_path, entries=tarballs.release(go=False, rust=True))
    run(host, profile, PciFunctions(A10))
    said = settings(host, f"{ETC}/kata-qemu-nvidia-gpu/config.d/60-caasctl.toml")
    assert said["agent"] == {"kata": {"reconnect_timeout_ms": 1200000, "create_container_timeout": 1200}}
    assert "hot_plug_vfio" not in said["hypervisor"]["qemu"]  # type: ignore[index]
    clh = settings(host, f"{ETC}/kata-clh/config.d/60-caasctl.toml")
    assert list(clh["hypervisor"]) == ["cloud-hypervisor"]  # type: ignore[call-overload]


AUDIO = tuple(PciFunction(f"0000:{bus}:00.1", "10de", "22ba", "040300") for bus in ("65", "66", "67", "68", "69", "6a"))
CARDS = tuple(PciFunction(f"0000:{bus}:00.0", "10de", "2684", "030000") for bus in ("65", "66", "67", "68", "69", "6a"))
SWITCHES = tuple(PciFunction(f"0000:{bus}:00.0", "10de", "22a3", "068000") for bus in ("05", "06", "07", "08"))
BRIDGE = PciFunction("0000:65:00.7", "10de", "0000", "060400")


@pytest.mark.parametrize(
    ("functions", "ports", "with_switches"),
    [
        (A10, 8, 8),
        ((*CARDS, *AUDIO, BRIDGE), 12, 12),
        ((*CARDS, *AUDIO, *SWITCHES), 12, 16),
        ((*CARDS, *AUDIO, *SWITCHES, *A10[2:]), 14, 16),  # 18 functions, and Kata takes 16
    ],
)
def test_there_is_a_root_port_for_each_function_that_may_go_along(
    functions: tuple[PciFunction, ...], ports: int, with_switches: int
) -> None:
    both = load(settings=('gpu.select=[{"vendor":"10de","class":"03"},{"vendor":"10de","class":"0680"}]',))
    assert gpu_ports(facts(PciFunctions(functions)), load(), "kata-qemu-nvidia-gpu") == ports
    assert gpu_ports(facts(PciFunctions(functions)), both, "kata-qemu-nvidia-gpu") == with_switches
    assert gpu_ports(facts(PciFunctions(functions)), load(), "kata-qemu") == 0


def test_an_edit_of_ours_is_written_over_and_another_drop_in_stays(tmp_path: Path) -> None:
    host, profile = LiveHost(str(tmp_path)), sourced(tmp_path)
    run(host, profile)
    host.write(f"{ETC}/kata-qemu/config.d/70-mine.toml", b"[runtime]\nenable_debug = true\n")
    host.write(f"{ETC}/kata-qemu/config.d/60-caasctl.toml", b"")
    assert run(host, profile) == [f"file:{ETC}/kata-qemu/config.d/60-caasctl.toml"]
    assert host.read(f"{ETC}/kata-qemu/config.d/70-mine.toml") == "[runtime]\nenable_debug = true\n"


def test_a_vendors_file_that_is_no_toml_is_said(tmp_path: Path) -> None:
    entries = [*(entry for entry in tarballs.release() if not entry.name.endswith("configuration-qemu.toml")),
               tarballs.Entry(f"{tarballs.BASE}/configuration-qemu.toml", b"[hypervisor.qemu\n")]  # fmt: skip
    with pytest.raises(FormatError, match=r"configuration-qemu.toml is not valid TOML"):
        run(LiveHost(str(tmp_path)), sourced(tmp_path, entries=entries))


def test_undo_of_a_file_is_what_was_there(tmp_path: Path) -> None:
    host, profile = LiveHost(str(tmp_path)), sourced(tmp_path)
    copies = [resource for resource in desired(profile) if isinstance(resource, VendorCopy)]
    assert [copy.undo(copy.look(host)).files for copy in copies[:1]] == [{copies[0].path: None}]
    run(host, profile)
    was = (host.read(copies[0].path) or "").encode()
    assert copies[0].undo(copies[0].look(host)).files == {copies[0].path: (was, 0o644)}
