"""Phase gpu: which files, bindings and CDI kinds a host's cards lead to, and that what it brings changes nothing in that."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from caasctl.facts.boot_initramfs import Initramfs
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetail, PciDetails
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.network import Links
from caasctl.facts.network_routes import Routes
from caasctl.facts.ownership import GPU_DRACUT, GPU_HOOK, GPU_MODPROBE, GPU_MODULES, GPU_RULES, GPU_SCRIPT, GPU_UNIT
from caasctl.model import Facts
from caasctl.phases.gpu import PHASE, UNIT
from caasctl.profile_load import load
from caasctl.protocol import Resource
from caasctl.resources.files import File, Gone, Transaction, owned_files
from caasctl.resources.gpu import Binding
from caasctl.resources.gpu.specification import Specification

NODE = load("single-node")
GPU = PciFunction("0000:31:00.0", "10de", "2236", "030200", "nouveau", "25")
SOUND = PciFunction("0000:31:00.1", "10de", "1aef", "040300", "snd_hda_intel", "25")
SECOND = PciFunction("0000:ca:00.0", "10de", "2236", "030200", "", "90")
SWITCH = PciFunction("0000:81:00.0", "10de", "22a3", "068000", "", "70")
DISK = PciFunction("0000:32:00.0", "144d", "a80a", "010802", "nvme", "25")
CONSOLE = PciFunction("0000:03:00.0", "1a03", "2000", "030000", "ast", "3")


def host(*functions: PciFunction, generator: str = "initramfs-tools") -> Facts:
    empty = (PciDetails({}), PciUse(), Links(()), Routes(()))
    return Facts((PciFunctions(functions), Initramfs(generator, images=True), *empty))


def resources(facts: Facts, *settings: str) -> dict[str, Resource]:
    return {resource.name: resource for resource in PHASE.desired(facts, load("single-node", settings))}


def files(facts: Facts, *settings: str) -> dict[str, File]:
    every = resources(facts, *settings).values()
    return {file.path: file for resource in every for file in owned_files(resource)}


def test_a_card_goes_whole_and_only_its_gpu_is_a_device() -> None:
    found = resources(host(CONSOLE, GPU, SOUND))
    assert found["vfio:0000:31:00.0"] == Binding("25", (GPU.address, SOUND.address), GPU_SCRIPT)
    pgpu = found["cdi:nvidia.com/pgpu"]
    assert isinstance(pgpu, Specification)
    assert pgpu.addresses == (GPU.address,)
    table = files(host(CONSOLE, GPU, SOUND))[GPU_SCRIPT].text
    assert "\n0000:31:00.0 10de 2236 nvidia.com/pgpu\n0000:31:00.1 10de 1aef -\n" in table


def test_files_stand_before_anything_is_bound_and_the_unit_after_it() -> None:
    names = list(resources(host(GPU, SECOND)))
    assert names == [
        f"file:{GPU_MODULES}", "module:vfio_pci", "module:vfio_iommu_type1", f"file:{GPU_SCRIPT}", f"file:{GPU_UNIT}",
        "gpu-early", "vfio:0000:31:00.0", "vfio:0000:ca:00.0", f"unit:{UNIT}", "cdi:nvidia.com/pgpu",
    ]  # fmt: skip


def test_the_rule_names_each_function_by_address_and_id() -> None:
    rules = files(host(GPU, SOUND))[GPU_RULES].text
    for function in (GPU, SOUND):
        line = next(line for line in rules.splitlines() if function.address in line)
        assert f'ATTR{{vendor}}=="0x{function.vendor}", ATTR{{device}}=="0x{function.device}"' in line
        assert 'ATTR{driver_override}="vfio-pci"' in line


def test_a_driver_that_no_other_card_needs_is_kept_from_loading() -> None:
    alone = files(host(CONSOLE, GPU, SOUND))[GPU_MODPROBE].text
    assert "\nblacklist nouveau\n" in alone
    assert "\nsoftdep snd_hda_intel pre: vfio-pci\n" in alone
    assert "blacklist snd_hda_intel" not in alone
    spared = files(host(GPU, SECOND), 'gpu.exclude=["ca:00.0"]')[GPU_MODPROBE].text
    assert "blacklist" not in spared
    assert "\nsoftdep nouveau pre: vfio-pci\n" in spared


def test_an_accelerator_of_amds_has_its_driver_kept_from_it() -> None:
    accelerator = PciFunction("0000:05:00.0", "1002", "74a1", "120000", "amdgpu", "9")
    assert "\nblacklist amdgpu\n" in files(host(accelerator), 'gpu.select=[{"class":"12"}]')[GPU_MODPROBE].text


def test_switches_are_devices_of_a_kind_of_their_own() -> None:
    both = 'gpu.select=[{"vendor":"10de","class":"03"},{"vendor":"10de","class":"0680"}]'
    assert {"cdi:nvidia.com/pgpu", "cdi:nvidia.com/nvswitch"} <= resources(host(GPU, SWITCH), both).keys()
    alone = resources(host(GPU, SWITCH))
    assert "cdi:nvidia.com/nvswitch" not in alone
    assert "vfio:0000:81:00.0" not in alone


def test_a_refused_group_is_left_alone() -> None:
    found = resources(host(GPU, DISK, SECOND))
    assert [name for name in found if name.startswith("vfio:")] == ["vfio:0000:ca:00.0"]


@pytest.mark.parametrize(
    ("generator", "path"), [("initramfs-tools", GPU_HOOK), ("dracut", GPU_DRACUT), ("", "")], ids=str
)
def test_the_rule_goes_into_the_initramfs_by_its_generator(generator: str, path: str) -> None:
    early = {one for one in files(host(GPU, generator=generator)) if one in {GPU_HOOK, GPU_DRACUT}}
    assert early == {*filter(None, [path])}


@pytest.mark.parametrize("there", [True, False])
def test_the_hook_brings_the_rule_along_and_stops_no_image_where_it_is_gone(tmp_path: Path, *, there: bool) -> None:
    rules, functions, image = tmp_path / "rules", tmp_path / "functions", tmp_path / "image"
    functions.write_text("")
    if there:
        rules.write_text("rule")
    text = files(host(GPU, generator="initramfs-tools"))[GPU_HOOK].text
    text = text.replace("/usr/share/initramfs-tools/hook-functions", str(functions)).replace(GPU_RULES, str(rules))
    subprocess.run(("sh", "-e", "-c", text), env={**os.environ, "DESTDIR": str(image)}, check=True)
    assert [path.name for path in image.rglob("*") if path.is_file()] == (["rules"] if there else [])


@pytest.mark.parametrize("settings", [("gpu.passthrough=off",), ()])
def test_without_a_card_what_was_ours_goes(settings: tuple[str, ...]) -> None:
    found = resources(host(*((GPU,) if settings else (CONSOLE,))), *settings)
    early = found["gpu-early"]
    assert isinstance(early, Transaction)
    assert all(isinstance(member, Gone) for member in early.members)
    assert not [name for name in found if name.startswith("vfio:")]
    assert "cdi:/var/run/cdi" in found


def test_before_the_iommu_is_on_a_card_of_its_own_is_presumed_and_looked_at_before_a_file_is_written() -> None:
    found = resources(host(replace(GPU, iommu_group=""), replace(SOUND, iommu_group=""), SECOND))
    assert found["vfio:0000:31:00.0"] == Binding("", (GPU.address, SOUND.address), GPU_SCRIPT)
    names = list(found)
    assert names[0] == "vfio:0000:31:00.0"
    assert names.index("gpu-early") < names.index("vfio:0000:ca:00.0")


@pytest.mark.parametrize(
    ("beside", "shown", "settings"),
    [
        (SOUND, False, ('gpu.exclude=["31:00.1"]',)),
        (replace(DISK, address="0000:31:00.4"), False, ()),
        (SOUND, True, ()),
    ],
    ids=["excluded", "the host's own", "the console's display"],
)
def test_what_is_presumed_is_judged_as_a_group_is(
    beside: PciFunction, *, shown: bool, settings: tuple[str, ...]
) -> None:
    card = replace(GPU, iommu_group="", class_code="030000")
    detail = PciDetails({card.address: PciDetail(boot_vga=shown)})
    facts = Facts((*host(card, replace(beside, iommu_group="")).known(), detail))
    found = resources(facts, *settings)
    assert not [name for name in found if name.startswith("vfio:")]
    early = found["gpu-early"]
    assert isinstance(early, Transaction)
    assert all(isinstance(member, Gone) for member in early.members)


def test_what_it_brings_about_changes_nothing_in_what_it_wants() -> None:
    bound = [replace(function, driver="vfio-pci") for function in (GPU, SOUND, SECOND)]
    assert resources(host(GPU, SOUND, SECOND)) == resources(host(*bound))
