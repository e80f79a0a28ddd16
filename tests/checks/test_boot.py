"""Boot loader, arguments, hugepages, GRUB's files: each check seen passing and failing on literal facts."""

from __future__ import annotations

import pytest

from caasctl.checks import boot, boot_grub, boot_hugepages, boot_useless
from caasctl.facts.boot import (
    OURS,
    BootLoader,
    CommandLine,
    GrubConfig,
    Hugepages,
    PageSize,
    parse_grub_config,
)
from caasctl.facts.boot_entries import BootEntries, BootEntry
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import KernelConfig, Memory, Systemd
from caasctl.model import HEADER, Check, Facts, Finding, Fix, Level, findings
from caasctl.profile import NodeProfile
from caasctl.profile_load import load

NODE = load("single-node")
PLAIN = load("single-node", ('boot.iommu="off"',))
GRUB = BootLoader("grub", (), "/boot/grub/grub.cfg", "grub-mkconfig", ("update-grub",), initramfs="initramfs-tools")
BLS = BootLoader("bls", ("GRUB_ENABLE_BLSCFG",), "/boot/grub2/grub.cfg", "grub2-mkconfig", ())
HYBRID, UNIFIED = CgroupLayout("hybrid", ()), CgroupLayout("unified", ())
OLD, NEW = Systemd(True, 245, "hybrid"), Systemd(True, 252, "unified")
DMAR, NONE = Iommu(("DMAR",)), Iommu(())
A10 = PciFunctions((PciFunction("0000:31:00.0", "10de", "2236", "030200", "vfio-pci", "25", 0),))
WANTED = "systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all intel_iommu=on"
GIB = 1024**2


def judge(check: Check, *facts: object, profile: NodeProfile = NODE) -> list[Finding]:
    return list(findings(check, Facts(facts), profile))


def only(check: Check, *facts: object, profile: NodeProfile = NODE) -> Finding:
    found = judge(check, *facts, profile=profile)
    assert len(found) == 1, found
    return found[0]


def config(default: str = "quiet", **more: str) -> GrubConfig:
    files = [("/etc/default/grub", f'# x\nGRUB_CMDLINE_LINUX_DEFAULT="{default}"\n')]
    return parse_grub_config(files + [(f"/etc/default/grub.d/{name}.cfg", text) for name, text in more.items()])


def entries(arguments: str, kernel: str = "/vmlinuz-6.1") -> BootEntries:
    entry = BootEntry("Linux", kernel, tuple(arguments.split()))
    return BootEntries("/boot/loader/entries", (entry,), entry)


def host(running: str, *more: object, loader: BootLoader = GRUB) -> tuple[object, ...]:
    """A host with everything to bring about: a hybrid layout and a DMAR table."""
    return (CommandLine(running), loader, HYBRID, DMAR, OLD, *more)


def test_grub_with_drop_ins_is_supported() -> None:
    assert only(boot.loader_supported, *host("quiet", config())).level is Level.PASS


def test_bls_entries_without_the_arguments_get_the_exact_grubby_command() -> None:
    found = only(boot.loader_supported, *host("quiet", entries("ro intel_iommu=on"), loader=BLS))
    assert found.yours
    assert found.fix is not None
    assert found.fix.text == ('grubby --update-kernel=ALL --args="systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all"')


def test_bls_entries_are_ours_to_change_where_the_profile_says_so() -> None:
    profile = load("single-node", ("boot.applyBLS=true",))
    assert only(boot.loader_supported, *host("", entries("ro"), loader=BLS), profile=profile).ours


@pytest.mark.parametrize("kind", ["bls", "systemd-boot", "ostree", "proxmox-boot", "extlinux", "grub-plain", ""])
def test_any_loader_passes_where_nothing_is_missing(kind: str) -> None:
    facts = host(WANTED, entries(WANTED), loader=BootLoader(kind))
    assert only(boot.loader_supported, *facts).level is Level.PASS
    nothing = (CommandLine(""), BootLoader(kind), UNIFIED, NONE, NEW)
    assert only(boot.loader_supported, *nothing).found.endswith("no argument is needed")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("systemd-boot", "kernel-install add $(uname -r) /boot/vmlinuz-$(uname -r)"),
        ("ostree", "rpm-ostree kargs --append-if-missing=systemd.unified_cgroup_hierarchy=1"),
        ("proxmox-boot", "proxmox-boot-tool refresh"),
        ("extlinux", "/boot/extlinux/extlinux.conf"),
        ("grub-plain", "GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub"),
        ("", "hypervisor"),
    ],
)
def test_other_loaders_fail_with_what_to_do(kind: str, said: str) -> None:
    found = only(boot.loader_supported, *host("quiet", loader=BootLoader(kind)))
    assert found.yours
    assert found.fix is not None
    assert said in found.fix.text
    assert "intel_iommu=on" in found.fix.text


def test_bls_entries_that_could_not_be_read_are_unknown() -> None:
    assert only(boot.loader_supported, *host("quiet", loader=BLS)).level is Level.UNKNOWN


def test_arguments_that_run_pass() -> None:
    assert only(boot.cmdline_pending, *host(WANTED, config())).found == WANTED


def test_arguments_that_nobody_configured_are_phase_boots() -> None:
    found = only(boot.cmdline_pending, *host("quiet", config(), entries("quiet")))
    assert found.ours
    assert found.found == f"missing now: {WANTED}; in the next boot too"


def test_arguments_of_the_next_boot_want_a_reboot() -> None:
    found = only(boot.cmdline_pending, *host("BOOT_IMAGE=/vmlinuz-6.1 quiet", config(), entries(WANTED)))
    assert found.found == f"missing now: {WANTED}; the next boot has them"
    assert found.fix is not None
    assert found.fix.text == "systemctl reboot"
    other = only(boot.cmdline_pending, *host("BOOT_IMAGE=/vmlinuz-5.10 quiet", config(), entries(WANTED)))
    assert "this boot started /vmlinuz-5.10, the default entry starts /vmlinuz-6.1" in other.cause


def test_a_vtd_that_is_on_by_itself_only_warns() -> None:
    facts = (CommandLine("quiet"), GRUB, UNIFIED, Iommu(("DMAR",), units=("dmar0",)), NEW, config())
    assert only(boot.cmdline_pending, *facts).level is Level.WARN


def test_nothing_against_passes() -> None:
    assert only(boot.cmdline_conflict, *host("quiet", config())).found == "none"


def test_an_opposite_that_ours_overrides_is_phase_boots() -> None:
    found = {
        f.subject: f
        for f in judge(
            boot.cmdline_conflict, *host("", config("intel_iommu=off systemd.unified_cgroup_hierarchy=no"), A10)
        )
    }
    vtd = found["intel_iommu=off"]
    assert (vtd.level, vtd.fixed_by) == (Level.FAIL, "boot")
    assert "/etc/default/grub:2; phase boot appends intel_iommu=on" in vtd.found
    assert found["systemd.unified_cgroup_hierarchy=no"].fixed_by == "boot"


@pytest.mark.parametrize(
    "text",
    ["iommu=off", "iommu=soft", "amd_iommu=off", "intremap=off", "noapic", "pcie_acs_override=downstream", "cgroup_disable=memory",
     "vfio_iommu_type1.allow_unsafe_interrupts=1", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"],
)  # fmt: skip
def test_what_nothing_overrides_is_the_users(text: str) -> None:
    found = only(boot.cmdline_conflict, *host("", config(f"quiet {text}"), A10))
    assert found.yours
    assert found.fix is not None
    assert found.fix.text == f"take {text} out of /etc/default/grub:2, then update-grub"


def test_iommu_conflicts_warn_without_a_gpu_and_are_silent_where_it_is_not_wanted() -> None:
    facts = host("", config("iommu=off"))
    assert only(boot.cmdline_conflict, *facts).level is Level.WARN
    assert only(boot.cmdline_conflict, *facts, profile=PLAIN).level is Level.PASS


def test_what_only_this_boot_has_goes_with_a_reboot() -> None:
    found = only(boot.cmdline_conflict, *host("cgroup_disable=memory", config()))
    assert found.found.startswith("cgroup_disable=memory in /proc/cmdline only")
    assert found.fix == Fix("systemctl reboot")


def test_tenants_that_can_read_each_other_warn_and_a_controller_that_nobody_misses_is_silent() -> None:
    unsafe = only(boot.cmdline_conflict, *host("", config("mitigations=off")))
    assert (unsafe.level, unsafe.subject, unsafe.fixed_by) == (Level.WARN, "mitigations=off", "")
    assert "L1TF" in unsafe.cause
    for harmless in ("mitigations=off mitigations=auto,nosmt", "cgroup_disable=pressure", "cgroup_disable=rdma"):
        assert only(boot.cmdline_conflict, *host("", config(harmless))).level is Level.PASS, harmless
    assert only(boot.cmdline_conflict, *host("", config("cgroup_disable=pressure,pids"))).level is Level.FAIL


def test_a_size_twice_and_another_count_are_named() -> None:
    twice = only(boot.cmdline_conflict, *host("", config("hugepagesz=1G hugepages=1 hugepagesz=1024M hugepages=2")))
    assert twice.found == "hugepagesz=1024M twice, again in /etc/default/grub:2"
    profile = load("single-node", ("boot.hugepages.count=8",))
    other = only(boot.cmdline_conflict, *host("", config("hugepagesz=1G hugepages=906")), profile=profile)
    assert (other.found, other.wanted) == ("hugepages=906 in /etc/default/grub:2", "hugepages=8")
    same = only(boot.cmdline_conflict, *host("", config("hugepagesz=1G hugepages=8")), profile=profile)
    assert same.level is Level.PASS


def test_two_dashes_cut_our_arguments_off() -> None:
    assert only(boot.cmdline_conflict, *host("", config("quiet -- splash"))).found == "`--` in /etc/default/grub:2"


def test_what_a_command_makes_of_the_arguments_is_unknown_until_the_menu_is_read() -> None:
    odd = config("quiet $(cat /etc/arguments)")
    found = only(boot.cmdline_conflict, *host("", odd))
    assert (found.level, found.found.split(":")[:2]) == (Level.UNKNOWN, ["/etc/default/grub", "2"])
    assert only(boot.cmdline_conflict, *host("", odd, entries("quiet"))).level is Level.PASS
    assert only(boot.cmdline_conflict, *host("", odd, entries("cgroup_disable=memory"))).yours


def test_a_boot_without_an_initramfs_shows() -> None:
    bare = config(x="GRUB_FORCE_PARTUUID=6a1b\n")
    assert "GRUB_FORCE_PARTUUID" in only(boot.loader_supported, *host("quiet", bare)).found


def test_a_later_plain_assignment_is_named() -> None:
    appends, plain = (
        'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT a"\n',
        "\nGRUB_CMDLINE_LINUX_DEFAULT=a\n",
    )
    found = only(boot.drop_in_wins, *host("", config(zzz=plain)))
    assert found.yours
    assert found.found.startswith("/etc/default/grub.d/zzz.cfg:2 assigns")
    assert only(boot.drop_in_wins, *host("", config(zzz=appends))).level is Level.PASS
    assert only(boot.drop_in_wins, *host("", config(**{"99-vendor": plain}))).level is Level.PASS
    assert judge(boot.drop_in_wins, *host("", config(zzz=plain), loader=BLS)) == []


@pytest.mark.parametrize(
    "text", ["amd_iommu=on", "intel_iommu=pt", "iommu=on", "cgroup_enable=memory", "swapaccount=1", "rd.driver.pre=vfio-pci", "video=efifb:off"]
)  # fmt: skip
def test_what_does_nothing_warns_with_its_place(text: str) -> None:
    facts = (CommandLine(f"quiet {text}"), GRUB, config(text), KernelConfig({}, "/boot/config"))
    found = only(boot_useless.cmdline_useless, *facts)
    assert (found.level, found.found) == (Level.WARN, f"{text} in /etc/default/grub:2")
    assert found.cause


def test_what_may_do_something_passes() -> None:
    dracut = BootLoader("bls", initramfs="dracut")
    facts = (
        CommandLine("rd.driver.pre=vfio-pci video=efifb:off intel_iommu=on"),
        dracut,
        KernelConfig({"FB_EFI": "y"}, ""),
    )
    assert only(boot_useless.cmdline_useless, *facts).level is Level.PASS
    amd = only(boot_useless.cmdline_useless, CommandLine("intel_iommu=on"), Iommu(("IVRS",)))
    assert "AMD" in amd.cause


def pages(total: int, free: int = 0, size_kib: int = GIB) -> Hugepages:
    return Hugepages((PageSize(2048, 0, 0, {}), PageSize(size_kib, total, free, {0: total})))


def test_hugepages_of_the_a10_host_leave_a_tenth() -> None:
    facts = (Memory(1007 * GIB, 0), pages(906, 906), GRUB, config("hugepagesz=1G hugepages=906"))
    found = only(boot_hugepages.hugepages_budget, *facts)
    assert found.level is Level.WARN
    assert found.found == "906 x 1 GiB (906 of 906 free now); 101 GiB of 1007 GiB left for pods and the host"
    assert found.fix is not None
    assert found.fix.text == "lower or remove hugepages=906 in /etc/default/grub:2, then update-grub"


def test_hugepages_beyond_the_memory_fail() -> None:
    profile = load("single-node", ("boot.hugepages.count=30",))
    found = only(boot_hugepages.hugepages_budget, Memory(32 * GIB, 0), pages(0), profile=profile)
    assert found.yours
    assert found.found == "30 x 1 GiB (none of them yet); 2.0 GiB of 32 GiB left for pods and the host"
    assert only(boot_hugepages.hugepages_budget, Memory(2 * GIB, 0), pages(0)).found == "none reserved"
    assert only(boot_hugepages.hugepages_budget, Memory(64 * GIB, 0), pages(8, 8)).level is Level.PASS


def test_fewer_hugepages_than_asked_for_fail_where_the_profile_asked() -> None:
    asked = CommandLine("hugepagesz=1G hugepages=0:8,1:8")
    assert only(boot_hugepages.hugepages_reserved, asked, pages(16)).level is Level.PASS
    short = only(boot_hugepages.hugepages_reserved, asked, pages(11))
    assert (short.level, short.found) == (Level.WARN, "11 of 16 pages of 1 GiB (node 0: 11)")
    ours = load("single-node", ("boot.hugepages.count=16",))
    assert only(boot_hugepages.hugepages_reserved, asked, pages(11), profile=ours).level is Level.FAIL
    assert judge(boot_hugepages.hugepages_reserved, CommandLine("quiet"), pages(0)) == []


def test_files_that_sh_can_read_pass() -> None:
    found = only(boot_grub.grub_config_parses, GRUB, config(x="if true; then A=1; fi\n"))
    assert (found.level, found.found) == (Level.PASS, "2 files; 1 statements are more than assignments")


def test_a_file_that_sh_cannot_read_and_dos_line_ends_fail() -> None:
    found = judge(boot_grub.grub_config_parses, GRUB, config(a='GRUB_TIMEOUT="3\n', b="GRUB_TIMEOUT=3\r\n"))
    assert [f.found for f in found] == ["/etc/default/grub.d/a.cfg:1: Unterminated quoted string",
                                       "/etc/default/grub.d/b.cfg has DOS line ends"]  # fmt: skip
    assert all(f.yours for f in found)
    assert judge(boot_grub.grub_config_parses, BootLoader(""), config()) == []


def test_our_own_drop_in_makes_it_all_pass() -> None:
    text = f'{HEADER}GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {WANTED}"\n'
    grub = parse_grub_config([("/etc/default/grub", 'GRUB_CMDLINE_LINUX="intel_iommu=off"\n'), (OURS, text)])
    facts = host(WANTED, grub, entries(f"intel_iommu=off {WANTED}"), A10)
    for check in boot.CHECKS:
        assert {f.level for f in judge(check, *facts)} == {Level.PASS}


def test_an_iommu_that_nothing_needs_is_no_obstacle_where_the_user_configures_the_boot_loader() -> None:
    facts = (CommandLine("ro"), BLS, entries("ro"), UNIFIED, Iommu(("DMAR",)), NEW, PciFunctions(()))
    found = only(boot.loader_supported, *facts)
    assert (found.level, found.fixed_by) == (Level.WARN, "")
    assert found.fix is not None
    assert found.fix.text == 'grubby --update-kernel=ALL --args="intel_iommu=on"'
    gpu = PciFunction("0000:41:00.0", "10de", "2236", "030200")
    assert only(boot.loader_supported, *facts[:-1], PciFunctions((gpu,))).level is Level.FAIL
    assert not list(boot.cmdline_pending.run(Facts(facts), NODE))
