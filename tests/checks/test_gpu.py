"""Each check of GPUs and their groups, passing and failing, with literal facts. Whole hosts: test_gpu_hardware.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.checks import gpu, gpu_card, gpu_driver, iommu_groups
from caasctl.facts.boot import CommandLine
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetail, PciDetails, PciLink
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.gpu_leftovers import NvidiaLeftovers
from caasctl.facts.gpu_memlock import Memlock
from caasctl.facts.gpu_vfio import Holder, VfioNodes
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Cpu, Kernel, KernelConfig, Modules, OsRelease
from caasctl.model import Check, Facts, Finding, Fix, FixKind, Level, findings
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.syntax.pci import Bar, Port

NODE, REQUIRED = load("single-node"), load("gpu-single-node")
GPU = PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25")
IDLE = replace(GPU, driver="")
BESIDE = replace(GPU, address="0000:32:00.0")
SOUND = PciFunction("0000:31:00.1", "10de", "1aef", "040300", "snd_hda_intel", "26")
SWITCH = PciFunction("0000:81:00.0", "10de", "22a3", "068000", iommu_group="70")
PORT = "0000:30:02.0"
WHOLE = PciDetail((PORT,), complete=True, bars=(Bar(0, 16 << 20), Bar(1, 32 << 30, prefetchable=True)),
                  link=PciLink("2.5 GT/s PCIe", 16, "16.0 GT/s PCIe", 16), resets=("flr", "bus"))  # fmt: skip
ALL = (*iommu_groups.CHECKS, *gpu.CHECKS, *gpu_card.CHECKS, *gpu_driver.CHECKS)


def judge(check: Check, *facts: object, profile: NodeProfile = NODE) -> list[Finding]:
    kinds = {type(fact) for fact in facts}
    quiet = [kind() for kind in (PciUse, NvidiaLeftovers, VfioNodes, Memlock) if kind not in kinds]
    details = [] if PciDetails in kinds else [PciDetails({})]
    return list(findings(check, Facts((*facts, *quiet, *details)), profile))


def only(check: Check, *facts: object, profile: NodeProfile = NODE) -> Finding:
    (found,) = judge(check, *facts, profile=profile)
    return found


def fix(found: Finding) -> Fix:
    assert found.fix is not None
    return found.fix


def of(detail: PciDetail, port: Port | None = None) -> PciDetails:
    return PciDetails({GPU.address: detail}, dict.fromkeys(detail.upstream, port))


def functions(*found: PciFunction) -> PciFunctions:
    return PciFunctions(found)


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.id)
def test_nothing_is_said_without_a_gpu_or_where_none_is_passed_through(check: Check) -> None:
    others = (
        Iommu(("DMAR",), units=("dmar0",), group_types={"identity": 9}),
        Modules(frozenset(), frozenset(), frozenset()),
    )
    leftovers = NvidiaLeftovers(("nvidia",), dkms=("nvidia",))
    memlock = Memlock(("/etc/kata-containers/configuration-qemu.toml",))
    nobody = (functions(SOUND), of(WHOLE), leftovers, memlock, *others)
    assert judge(check, *nobody) == []
    assert judge(check, functions(GPU), *nobody[1:], profile=load("single-node", ('gpu.passthrough="off"',))) == []


# -- groups
def test_every_refused_group_fails_with_one_argument_that_leaves_them_all() -> None:
    disks = [
        PciFunction(f"0000:4{n}:00.0", "144d", "a80a", "010802", "nvme", group) for n, group in ((1, "25"), (2, "26"))
    ]
    second = replace(BESIDE, iommu_group="26")
    profile = load("single-node", ('gpu.exclude=["01:00.0"]',))
    found = judge(iommu_groups.group_viable, functions(GPU, second, *disks), profile=profile)
    assert [(f.level, f.subject) for f in found] == [(Level.FAIL, "group 25"), (Level.FAIL, "group 26")]
    assert {fix(f).text.partition("--set ")[2] for f in found} == {
        '\'gpu.exclude=["0000:01:00.0", "0000:31:00.0", "0000:32:00.0"]\''
    }


def test_two_cards_in_one_group_are_warned_of() -> None:
    found = only(iommu_groups.group_shared, functions(GPU, BESIDE))
    assert (found.level, found.found) == (Level.WARN, "0000:31:00.0, 0000:32:00.0 are in one group")
    assert only(iommu_groups.group_shared, functions(GPU)).level is Level.PASS


@pytest.mark.parametrize(
    ("port", "level", "words"),
    [
        (Port("root", 0x5F, 0x1D), Level.PASS, f"on: {PORT}"),
        (Port("root", 0x5F, 0x11), Level.FAIL, "ReqRedir, CmpltRedir off"),
        (Port("root", 0x01, 0x00), Level.FAIL, "SrcValid off"),
        (Port("root"), Level.PASS, "no port has ACS, and the kernel's groups allow for that"),
        (None, Level.UNKNOWN, f"only root may read the ACS control of {PORT}"),
    ],
)
def test_acs_of_the_ports_above(port: Port | None, level: Level, words: str) -> None:
    found = only(iommu_groups.acs, functions(GPU), of(WHOLE, port))
    assert (found.level, found.found) == (level, words)


def test_an_argument_that_weakens_acs_is_named() -> None:
    running = CommandLine("quiet pci=realloc,disable_acs_redir=pci:8086:347a")
    found = only(iommu_groups.acs, functions(GPU), of(WHOLE, Port("root", 0x5F, 0x11)), running)
    assert "take pci=realloc,disable_acs_redir" in fix(found).text


PT = Iommu(("IVRS",), units=("ivhd0",), group_types={"identity": 90, "DMA-FQ": 2})
KEEPS = load("single-node", ("boot.passthroughMode=true",))


@pytest.mark.parametrize(
    ("iommu", "running", "flags", "profile", "level", "words"),
    [
        (replace(PT, group_types={"DMA-FQ": 90, "identity": 2}), "", "", NODE, Level.PASS, ""),
        (PT, "iommu=pt", "", NODE, Level.WARN, "take iommu=pt out"),
        (PT, "iommu.passthrough=1", "", NODE, Level.WARN, "take iommu.passthrough=1 out"),
        (PT, "", "", NODE, Level.WARN, "append iommu.passthrough=0"),
        (PT, "iommu=pt", "", KEEPS, Level.PASS, ""),
        (PT, "iommu=pt", "sev_snp", KEEPS, Level.WARN, "set spec.boot.passthroughMode: false"),
    ],
)
def test_pass_through_mode(
    iommu: Iommu, running: str, flags: str, profile: NodeProfile, level: Level, words: str
) -> None:
    cpu = Cpu("AuthenticAMD", 2, frozenset({flags}))
    found = only(iommu_groups.passthrough_mode, functions(GPU), iommu, CommandLine(running), cpu, profile=profile)
    assert found.level is level
    assert not words or words in fix(found).text


# -- functions
def test_no_gpu_fails_where_the_profile_insists() -> None:
    found = only(gpu.present, functions(SOUND), profile=REQUIRED)
    assert (found.level, found.found) == (Level.FAIL, "none of 1 PCI functions is selected")
    whole = load("single-node", ('gpu.select=[{"vendor":"10de","class":"03"},{"address":"81:00.0"}]',))
    assert only(gpu.present, functions(GPU, SWITCH), profile=whole).found == "1 x 10de:2236, 1 x 10de:22a3 (NVSwitch)"


def test_a_function_on_another_driver_is_to_be_bound() -> None:
    found = only(gpu.bound, functions(replace(GPU, driver="nouveau")))
    assert (found.level, found.found) == (Level.FAIL, "0000:31:00.0 (nouveau)")
    assert only(gpu.bound, functions(GPU)).level is Level.PASS
    many = [replace(IDLE, address=f"0000:{bus:02x}:00.0", iommu_group=str(bus)) for bus in range(20)]
    assert only(gpu.bound, functions(*many)).found.endswith("and 12 more")


def test_where_every_group_is_refused_it_is_said_that_nothing_is_bound() -> None:
    disk = PciFunction("0000:41:00.0", "144d", "a80a", "010802", "nvme", "25")
    found = only(gpu.bound, functions(GPU, disk))
    assert (found.level, found.fixed_by) == (Level.WARN, "")
    assert judge(gpu_driver.vfio_modules, functions(GPU, disk), Modules(NONE, NONE, VFIO)) == []


def test_a_card_that_is_selected_and_excluded_is_missed_as_excluded() -> None:
    profile = load("gpu-single-node", ('gpu.exclude=["31:00.0"]',))
    found = only(gpu.present, functions(GPU), profile=profile)
    assert found.found == "none of 1 PCI functions is selected; excluded: 0000:31:00.0"
    assert "spec.gpu.exclude" in fix(found).text


def test_a_function_of_the_card_that_stays_with_the_host_is_named() -> None:
    found = only(gpu.companions, functions(GPU, SOUND))
    assert (found.level, found.subject) == (Level.WARN, SOUND.address)
    assert 'add {address: "0000:31:00.1"} to spec.gpu.select' in fix(found).text
    assert only(gpu.companions, functions(GPU, replace(SOUND, iommu_group="25"))).level is Level.PASS
    assert judge(gpu.companions, functions(GPU)) == []


def test_a_function_that_the_kernel_ties_to_the_gpu_is_a_companion_in_any_slot() -> None:
    tied = replace(SOUND, address="0000:33:00.0")
    found = only(gpu.companions, functions(GPU, tied), of(replace(WHOLE, consumers=(tied.address,))))
    assert (found.level, found.subject) == (Level.WARN, tied.address)


def test_virtual_functions_that_are_on_are_phase_gpus_to_remove() -> None:
    able = of(replace(WHOLE, vfs=2, max_vfs=16))
    found = only(gpu.sriov, functions(IDLE), able)
    assert (found.level, found.found) == (Level.FAIL, "2 of 16 are on")
    assert only(gpu.sriov, functions(IDLE), of(replace(WHOLE, max_vfs=16))).level is Level.PASS
    assert judge(gpu.sriov, functions(IDLE), of(WHOLE)) == []


@pytest.mark.parametrize(
    ("function", "nodes", "level", "words"),
    [
        (IDLE, VfioNodes(("25",), holders=(Holder("/dev/vfio/25", 7, "qemu"),)), Level.FAIL, "qemu (process 7) holds"),
        (GPU, VfioNodes(("25",), holders=(Holder("/dev/vfio/25", 7, "qemu"),)), Level.PASS, "in use by qemu (7)"),
        (
            IDLE,
            VfioNodes(devices=("vfio3",), holders=(Holder("/dev/vfio/devices/vfio3", 7, "qemu"),)),
            Level.FAIL,
            "vfio3",
        ),
        (IDLE, VfioNodes(("25",), complete=False), Level.UNKNOWN, "only root sees"),
        (GPU, VfioNodes(("25",), complete=False), Level.PASS, "nobody holds one"),
        (GPU, VfioNodes(("9",), holders=(Holder("/dev/vfio/9", 7, "qemu"),)), Level.PASS, "nobody holds one"),
    ],
)
def test_who_holds_a_group(function: PciFunction, nodes: VfioNodes, level: Level, words: str) -> None:
    found = only(gpu.holders, functions(function), of(replace(WHOLE, vfio_device="vfio3")), nodes)
    assert found.level is level
    assert words in found.found


def test_without_nodes_there_is_nobody_to_name() -> None:
    assert judge(gpu.holders, functions(IDLE)) == []


# -- cards
def test_a_card_whose_link_cannot_be_read_is_unknown_and_one_of_all_ones_fails() -> None:
    silent = of(replace(WHOLE, link=None, unread=("current_link_width",)))
    assert only(gpu_card.fell_off, functions(GPU), silent).level is Level.UNKNOWN
    dead = of(replace(WHOLE, link=PciLink("Unknown", 63, "Unknown", 63)))
    without = load("single-node", ('gpu.exclude=["01:00.0"]',))
    found = only(gpu_card.fell_off, functions(GPU), dead, profile=without)
    assert found.level is Level.FAIL
    assert fix(found).text.startswith(
        'go on without it: --set \'gpu.exclude=["0000:01:00.0", "0000:31:00.0"]\'; to have it back, drain'
    )
    assert only(gpu_card.fell_off, functions(GPU), of(WHOLE)).level is Level.PASS


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        ((Bar(0, 16 << 20), Bar(1, 32 << 30, assigned=False, prefetchable=True)), "BAR 1 of 32 GiB has none"),
        ((Bar(0, 16 << 20), Bar(3, 32 << 20, prefetchable=True)), "the window to its memory is gone"),
        ((), "the window to its memory is gone"),
    ],
)
def test_a_window_without_an_address_fails(bars: tuple[Bar, ...], words: str) -> None:
    found = only(gpu_card.bars_assigned, functions(GPU), of(replace(WHOLE, bars=bars)))
    assert found.level is Level.FAIL
    assert words in found.found
    assert fix(found).kind is FixKind.FIRMWARE


def test_windows_with_addresses_pass_by_size() -> None:
    ports = (*WHOLE.bars, Bar(5, 128, assigned=False, io=True))  # nobody needs the ports of a GPU
    found = only(gpu_card.bars_assigned, functions(GPU), of(replace(WHOLE, bars=ports)))
    assert (found.level, found.found) == (Level.PASS, "0000:31:00.0 32.02 GiB")


def test_a_card_that_nothing_resets_is_warned_of() -> None:
    assert only(gpu_card.reset_method, functions(GPU), of(replace(WHOLE, resets=()))).level is Level.WARN
    assert only(gpu_card.reset_method, functions(GPU), of(WHOLE)).found == "flr bus (1)"
    assert judge(gpu_card.reset_method, functions(GPU), of(PciDetail())) == []


def test_fewer_lanes_are_warned_of_and_a_lower_speed_is_not() -> None:
    assert only(gpu_card.link, functions(GPU), of(WHOLE)).found == "x16, 2.5 of 16 GT/s (1)"
    narrow = replace(WHOLE, link=PciLink("16.0 GT/s PCIe", 4, "16.0 GT/s PCIe", 16))
    found = only(gpu_card.link, functions(GPU), of(narrow))
    assert (found.level, found.found, found.wanted) == (Level.WARN, "x4", "x16")
    slot = PciDetail(link=PciLink("16.0 GT/s PCIe", 4, "16.0 GT/s PCIe", 4))
    found = only(gpu_card.link, functions(GPU), PciDetails({GPU.address: narrow, PORT: slot}))
    assert found.found == "x4; the port above it has no more"


def test_the_boot_display_fails_and_one_that_is_named_is_warned_of() -> None:
    shows, display = of(replace(WHOLE, boot_vga=True)), replace(GPU, class_code="030000")
    assert only(gpu_card.boot_vga, functions(display), shows).level is Level.FAIL
    named = load("single-node", ('gpu.select=[{"address":"31:00.0"}]',))
    found = only(gpu_card.boot_vga, functions(display), shows, profile=named)
    assert found.level is Level.WARN
    assert "initcall_blacklist=sysfb_init" in fix(found).text
    unnamed = fix(only(gpu_card.boot_vga, functions(display), shows)).text
    assert '"03"}, {"address": "0000:31:00.0"}]\' (a waiver alone binds nothing)' in unnamed
    efifb = KernelConfig({"FB_EFI": "y"}, "/boot/config")
    assert "video=efifb:off" in fix(only(gpu_card.boot_vga, functions(display), shows, efifb, profile=named)).text
    assert judge(gpu_card.boot_vga, functions(display), of(WHOLE)) == []


# -- drivers
DEBIAN, ROCKY = OsRelease("debian", (), "13", "Debian"), OsRelease("rocky", ("rhel", "fedora"), "9.5", "Rocky")


@pytest.mark.parametrize(
    ("left", "release", "words"),
    [
        (
            NvidiaLeftovers(("nvidia",), packages=("nvidia-driver-580",)),
            DEBIAN,
            "apt-get purge -y nvidia-driver-580 && ",
        ),
        (NvidiaLeftovers(("nvidia",), tools=("/usr/bin/nvidia-uninstall",)), DEBIAN, "nvidia-uninstall --silent"),
        (NvidiaLeftovers(("nvidia",)), DEBIAN, "as it was installed"),
        (NvidiaLeftovers(("nvidia",)), ROCKY, "dnf remove -y '*nvidia*'"),
    ],
)
def test_a_loaded_driver_fails_with_the_way_to_be_rid_of_it(
    left: NvidiaLeftovers, release: OsRelease, words: str
) -> None:
    found = only(gpu_driver.no_host_driver, functions(replace(GPU, driver="nvidia")), left, release)
    assert found.yours
    assert found.found == "nvidia, drives 0000:31:00.0"
    told = fix(found)
    assert words in told.text
    assert told.kind is FixKind.EDIT  # nobody asked for guests with GPUs: `purge` is no command to paste first
    assert told.text.startswith("leave the GPUs to the host and its driver: --set 'gpu.passthrough=\"off\"'")
    asked = load("gpu-single-node")
    demanded = only(gpu_driver.no_host_driver, functions(replace(GPU, driver="nvidia")), left, release, profile=asked)
    assert "passthrough" not in fix(demanded).text


def test_a_driver_that_a_card_or_switches_of_the_host_need_is_not_to_be_purged() -> None:
    profile = load("single-node", ('gpu.exclude=["32:00.0"]',))
    left = NvidiaLeftovers(("nvidia",), packages=("nvidia-driver-580", "nvidia-fabricmanager-580"))
    used, switch = replace(BESIDE, driver="nvidia"), replace(SWITCH, driver="nvidia")
    for every, kept in (((GPU, used), used.address), ((GPU, switch), "0000:81:00.0 (NVSwitch)")):
        for check in (gpu_driver.no_host_driver, gpu_driver.leftovers):
            found = only(check, functions(*every), left, profile=profile)
            assert found.level is Level.PASS
            assert found.found.endswith(f"; for {kept}, which the profile leaves to the host")
    taken = only(gpu_driver.no_host_driver, functions(replace(GPU, driver="nvidia"), switch), left)
    assert taken.yours
    assert "for a in 0000:31:00.0; do echo $a >/sys/bus/pci/drivers/nvidia/unbind; done" in fix(taken).text
    idle = replace(SWITCH, driver="")
    for check in (gpu_driver.no_host_driver, gpu_driver.leftovers):
        unused = only(check, functions(GPU, idle), left)
        assert unused.level is Level.WARN
        assert "purge" not in fix(unused).text
    guests = functions(GPU, replace(SWITCH, driver="vfio-pci"))  # as a service guest with the fabric manager has it
    assert "purge" in fix(only(gpu_driver.no_host_driver, guests, left)).text


def test_a_driver_is_seen_by_the_card_that_it_has() -> None:
    assert only(gpu_driver.no_host_driver, functions(replace(GPU, driver="nvidia")), NvidiaLeftovers()).yours


def test_a_host_without_the_driver_passes() -> None:
    assert only(gpu_driver.no_host_driver, functions(GPU)).level is Level.PASS
    assert only(gpu_driver.leftovers, functions(GPU)).level is Level.PASS


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (NvidiaLeftovers(packages=("nvidia-dkms-580",), dkms=("nvidia",)), "apt-get purge -y nvidia-dkms-580"),
        (NvidiaLeftovers(tools=("/usr/bin/nvidia-uninstall",)), "nvidia-uninstall"),
        (
            NvidiaLeftovers(units=("nvidia-persistenced.service",)),
            "systemctl disable --now nvidia-persistenced.service",
        ),
        (NvidiaLeftovers(dkms=("nvidia",)), "dkms remove nvidia/${v##*/} --all"),
        (NvidiaLeftovers(tools=("/usr/bin/nvidia-ctk",)), "remove the package nvidia-container-toolkit"),
        (NvidiaLeftovers(tools=("/usr/bin/nvidia-smi",)), "remove what brought /usr/bin/nvidia-smi"),
        (NvidiaLeftovers(operator="/run/nvidia"), "/run/nvidia goes with the next boot"),
    ],
)
def test_leftovers_are_warned_of(left: NvidiaLeftovers, words: str) -> None:
    found = only(gpu_driver.leftovers, functions(GPU), left)
    assert found.level is Level.WARN
    assert words in fix(found).text


VFIO = frozenset({"vfio", "vfio_pci", "vfio_iommu_type1"})
NONE = frozenset[str]()
KERNEL, UBUNTU = Kernel("6.8.0-31-generic", (6, 8)), OsRelease("ubuntu", ("debian",), "24.04", "Ubuntu")


def test_modules_that_are_there_pass_and_those_to_load_are_phase_gpus() -> None:
    mixed = Modules(frozenset({"vfio_pci"}), VFIO - {"vfio_pci"}, NONE)
    assert only(gpu_driver.vfio_modules, functions(GPU), mixed).found == (
        "vfio (built in), vfio_pci, vfio_iommu_type1 (built in)"
    )
    found = only(gpu_driver.vfio_modules, functions(GPU), Modules(NONE, NONE, VFIO))
    assert (found.level, found.fixed_by) == (Level.FAIL, "gpu")


def test_a_kernel_with_iommufd_and_no_character_devices_is_said_once_a_gpu_is_bound() -> None:
    modules, half = Modules(NONE, VFIO, NONE), VfioNodes(groups=("25",), container=True, iommufd=True)
    _, found = judge(gpu_driver.vfio_modules, functions(GPU), modules, half)
    assert (found.level, found.subject, found.fixed_by) == (Level.WARN, "character devices", "")
    for nodes, driver in (
        (replace(half, devices=("vfio0",)), "vfio-pci"),
        (replace(half, iommufd=False), "vfio-pci"),
        (half, ""),
    ):
        function = replace(GPU, driver=driver)
        assert only(gpu_driver.vfio_modules, functions(function), modules, nodes).level is Level.PASS


@pytest.mark.parametrize(
    ("options", "release", "words"),
    [
        ({"VFIO": "m"}, UBUNTU, "apt-get install -y linux-modules-extra-6.8.0-31-generic"),
        ({"VFIO": "m"}, DEBIAN, "install the modules of kernel 6.8.0-31-generic"),
        ({}, DEBIAN, "boot the distribution's own kernel"),
    ],
)
def test_a_kernel_without_vfio_is_the_users(options: dict[str, str], release: OsRelease, words: str) -> None:
    none, config = Modules(NONE, NONE, NONE), KernelConfig(options, "/boot/config")
    found = only(gpu_driver.vfio_modules, functions(GPU), none, config, KERNEL, release)
    assert found.yours
    assert words in fix(found).text


def test_memory_to_lock_matters_where_kata_runs_without_root() -> None:
    rootless = ("/etc/kata-containers/configuration-qemu.toml",)
    assert judge(gpu_driver.memlock, functions(GPU), Memlock()) == []
    assert only(gpu_driver.memlock, functions(GPU), Memlock(rootless)).level is Level.FAIL
    assert only(gpu_driver.memlock, functions(GPU), Memlock(rootless, "infinity")).level is Level.PASS
