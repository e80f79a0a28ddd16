"""Which kernel arguments a node wants: a pure rule over the profile's `boot` and what is foreign on the host."""

from __future__ import annotations

from caasctl.frozen import dataclass
from caasctl.profile import Boot

HIERARCHY = "systemd.unified_cgroup_hierarchy"
ONLY_V2 = 256  # systemd versions from here on boot with cgroup v2 unless forced
NO_SWITCH = 258  # from here on the switch is gone
# Names of arguments that caasctl may have written before, profile's own ones apart.
NAMES = frozenset(
    {HIERARCHY, "cgroup_no_v1", "intel_iommu", "iommu", "default_hugepagesz", "hugepagesz", "hugepages"}
)  # fmt: skip
_SIZES = {"2Mi": "2M", "1Gi": "1G"}


@dataclass(frozen=True)
class Situation:
    """What the rule depends on.

    loader: BootLoader.kind. default_hierarchy: systemd's compiled-in one, "" unknown. systemd_version: 0 unknown. layout: CgroupLayout.mode.
    foreign_hierarchy: the value of systemd.unified_cgroup_hierarchy that files other than ours set, None unset.
    ours_has_hierarchy: our own drop-in sets it already. tables: ACPI tables that announce an IOMMU.
    """

    loader: str = "grub"
    default_hierarchy: str = ""
    systemd_version: int = 0
    layout: str = ""
    foreign_hierarchy: str | None = None
    ours_has_hierarchy: bool = False
    tables: tuple[str, ...] = ()


def wanted(boot: Boot, situation: Situation) -> tuple[str, ...]:
    """All arguments that the running kernel should have, in the order in which they are written."""
    arguments: list[str] = []
    if _asks_for_v2(situation):
        arguments += [f"{HIERARCHY}=1", "cgroup_no_v1=all"]
    if boot.iommu != "off" and "DMAR" in situation.tables:
        arguments.append("intel_iommu=on")  # AMD's is on wherever the firmware announces it; there is no `on` for it
    if boot.iommu != "off" and boot.passthroughMode:
        arguments.append("iommu=pt")
    if boot.hugepages.count > 0:
        size = _SIZES[boot.hugepages.size]
        arguments += [f"default_hugepagesz={size}", f"hugepagesz={size}", f"hugepages={boot.hugepages.count}"]
    return (*arguments, *(argument for argument in boot.kernelArgs if argument not in arguments))


def _asks_for_v2(situation: Situation) -> bool:
    if situation.systemd_version >= NO_SWITCH:
        return False
    foreign = situation.foreign_hierarchy
    if foreign is not None and (situation.loader != "grub" or foreign.lower() in {"0", "no", "n", "false", "f", "off"}):
        return True  # outside of GRUB's drop-ins ours cannot be told from theirs: what is set stays ours to set
    if situation.systemd_version >= ONLY_V2:
        return False
    if situation.default_hierarchy:
        return situation.default_hierarchy != "unified"
    said = (
        foreign is not None or situation.ours_has_hierarchy
    )  # whoever says so, it is wanted before and after the boot
    return said or situation.layout in {"hybrid", "legacy"}
