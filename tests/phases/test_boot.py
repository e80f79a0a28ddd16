"""Phase boot: which arguments are wanted where, who brings them, and that its own work changes nothing in what it desires."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caasctl.facts.boot import OURS, BootLoader, GrubConfig, parse_grub_config
from caasctl.facts.boot_entries import BootEntries, BootEntry
from caasctl.facts.boot_once import OneTimeEntry
from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.iommu import Iommu
from caasctl.facts.os import Systemd
from caasctl.model import Facts
from caasctl.needs.boot import arguments
from caasctl.phases.boot import PHASE
from caasctl.profile import NodeProfile
from caasctl.profile_load import load
from caasctl.resources.cmdline import Cmdline
from caasctl.resources.files import Gone, Transaction
from caasctl.resources.grub.trial_boot import AfterTrial, TrialBoot
from caasctl.resources.grubby import Grubby
from caasctl.syntax.grub_menu import trial

NODE = load("single-node")
V2 = ("systemd.unified_cgroup_hierarchy=1", "cgroup_no_v1=all")
GRUB = BootLoader("grub", (), "/boot/grub/grub.cfg", "grub-mkconfig", ("update-grub",))
DMAR, IVRS, NONE = Iommu(("DMAR",)), Iommu(("IVRS",)), Iommu(())


def configured(text: str = "quiet", drop_in: str = "") -> GrubConfig:
    files = [("/etc/default/grub", f'GRUB_CMDLINE_LINUX="{text}"\n')]
    return parse_grub_config([*files, (OURS, drop_in)] if drop_in else files)


def host(systemd: Systemd | None, layout: str, iommu: Iommu, *more: object, loader: BootLoader = GRUB) -> Facts:
    known = (CgroupLayout(layout, ()), iommu, loader, *more, *((systemd,) if systemd else ()))
    return Facts(known if any(isinstance(fact, GrubConfig) for fact in more) else (*known, configured()))


def drop_in(facts: Facts, profile: NodeProfile = NODE) -> str:
    """The text of the drop-in, "" where there is to be none."""
    first = next(iter(PHASE.desired(facts, profile)))
    transaction = first.permanent if isinstance(first, TrialBoot) else first
    assert isinstance(transaction, Transaction)
    member, script = transaction.members
    assert script == Gone(trial.SCRIPT)
    return "" if isinstance(member, Gone) else member.text


@pytest.mark.parametrize(
    ("systemd", "layout", "configured_", "wanted"),
    [
        (Systemd(True, 245, "hybrid"), "hybrid", "quiet", V2),
        (Systemd(True, 245, "hybrid"), "unified", "quiet", V2),
        (Systemd(True, 252, "unified"), "unified", "quiet", ()),
        (Systemd(True, 252, "unified"), "hybrid", "systemd.unified_cgroup_hierarchy=0", V2),
        (Systemd(True, 252, "unified"), "unified", "systemd.unified_cgroup_hierarchy=0", V2),
        (Systemd(True, 252, "unified"), "unified", "systemd.unified_cgroup_hierarchy=1", ()),
        (Systemd(True, 257, ""), "hybrid", "quiet", ()),
        (Systemd(True, 257, ""), "hybrid", "systemd.unified_cgroup_hierarchy=no", V2),
        (Systemd(True, 258, ""), "unified", "systemd.unified_cgroup_hierarchy=0", ()),
        (None, "hybrid", "quiet", V2),
        (None, "unified", "quiet", ()),
    ],
)
def test_version_2_is_asked_for_where_it_would_not_come_by_itself(
    systemd: Systemd | None, layout: str, configured_: str, wanted: tuple[str, ...]
) -> None:
    assert arguments(host(systemd, layout, NONE, configured(configured_)), NODE) == wanted


@pytest.mark.parametrize(
    ("iommu", "settings", "wanted"),
    [
        (DMAR, (), ("intel_iommu=on",)),
        (IVRS, (), ()),
        (NONE, (), ()),
        (DMAR, ('boot.iommu="off"', "boot.passthroughMode=true"), ()),
        (IVRS, ("boot.passthroughMode=true",), ("iommu=pt",)),
        (NONE, ("boot.hugepages.count=4",), ("default_hugepagesz=1G", "hugepagesz=1G", "hugepages=4")),
        (NONE, ("boot.hugepages.count=9", "boot.hugepages.size=2Mi"), ("default_hugepagesz=2M", "hugepagesz=2M", "hugepages=9")),
        (DMAR, ("boot.kernelArgs=[nosmt, intel_iommu=on]",), ("intel_iommu=on", "nosmt")),
    ],
)  # fmt: skip
def test_the_firmware_and_the_profile_decide_about_the_rest(
    iommu: Iommu, settings: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    profile = load("single-node", settings)
    assert arguments(host(Systemd(True, 252, "unified"), "unified", iommu), profile) == wanted


def test_the_drop_in_appends_what_others_have_not_in_effect() -> None:
    facts = host(Systemd(True, 245, "hybrid"), "hybrid", DMAR, configured("intel_iommu=on cgroup_no_v1=all"))
    lines = drop_in(facts).splitlines()
    assert lines[0].startswith("# Written by caasctl")
    assert lines[-1] == ('GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT systemd.unified_cgroup_hierarchy=1"')
    again = host(Systemd(True, 245, "hybrid"), "hybrid", DMAR, configured("intel_iommu=on intel_iommu=off"))
    assert drop_in(again).splitlines()[-1].endswith(' intel_iommu=on"')


def test_nothing_wanted_means_no_drop_in_and_no_reboot() -> None:
    facts = host(Systemd(True, 252, "unified"), "unified", NONE)
    (only,) = PHASE.desired(facts, NODE)
    assert isinstance(only, Transaction)
    assert isinstance(only.members[0], Gone)


WORDS = st.lists(
    st.sampled_from(["quiet", "intel_iommu=on", "intel_iommu=off", "cgroup_no_v1=all", "hugepagesz=1G", "hugepages=4",
                     "systemd.unified_cgroup_hierarchy=0", "systemd.unified_cgroup_hierarchy=1", "iommu=pt"]), max_size=6
)  # fmt: skip
SYSTEMDS = st.sampled_from([None, Systemd(True, 245, "hybrid"), Systemd(True, 252, "unified"), Systemd(True, 257, "")])


@settings(deadline=None)
@given(
    WORDS,
    SYSTEMDS,
    st.sampled_from(["hybrid", "legacy", "unified"]),
    st.sampled_from([DMAR, IVRS, NONE]),
    st.booleans(),
)
def test_what_is_desired_is_the_same_after_it_is_applied(
    words: list[str],
    systemd: Systemd | None,
    layout: str,
    iommu: Iommu,
    pages: bool,  # noqa: FBT001 - drawn
) -> None:
    profile = load("single-node", ("boot.hugepages.count=4", "boot.passthroughMode=true")) if pages else NODE
    before = host(systemd, layout, iommu, configured(" ".join(words)))
    wanted = arguments(before, profile)
    mode = "unified" if V2[0] in wanted else layout
    after = host(
        systemd, mode, Iommu(iommu.tables, units=("dmar0",)), configured(" ".join(words), drop_in(before, profile))
    )
    assert list(PHASE.desired(after, profile)) == list(PHASE.desired(before, profile))


def kinds(facts: Facts, profile: NodeProfile = NODE) -> list[type]:
    return [type(resource) for resource in PHASE.desired(facts, profile)]


def test_new_arguments_are_tried_first_unless_the_profile_says_not_to() -> None:
    once = OneTimeEntry("/boot/grub/grubenv")
    facts = host(Systemd(True, 252, "unified"), "unified", DMAR, once)
    assert kinds(facts) == [TrialBoot, Cmdline, AfterTrial]
    assert kinds(facts, load("single-node", ('boot.trialBoot="off"',))) == [Transaction, Cmdline]
    assert kinds(host(Systemd(True, 252, "unified"), "unified", DMAR, once, configured("intel_iommu=on"))) == [
        Transaction,
        Cmdline,
    ]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((OneTimeEntry("/boot/grub/grubenv"),), ""),
        ((OneTimeEntry("/boot/grub/grubenv", "other", "GRUB cannot write to /boot/grub, which lies on lvm"),), "lvm"),
        ((), "not known whether GRUB can start an entry once (not looked at)"),
    ],
)
def test_why_there_is_no_trial_is_known_to_what_would_make_it(more: tuple[object, ...], said: str) -> None:
    first = next(iter(PHASE.desired(host(Systemd(True, 252, "unified"), "unified", DMAR, *more), NODE)))
    assert isinstance(first, TrialBoot)
    assert said in first.obstacle
    assert bool(first.obstacle) is bool(said)


def rocky(text: str, profile: NodeProfile) -> list[object]:
    entry = BootEntry("Rocky", "/vmlinuz", tuple(text.split()))
    entries = BootEntries("/boot/loader/entries", (entry,), entry)
    return list(
        PHASE.desired(host(Systemd(True, 252, "unified"), "unified", DMAR, entries, loader=BootLoader("bls")), profile)
    )


def test_bls_entries_are_changed_only_where_the_profile_says_so() -> None:
    apply = load("single-node", ("boot.applyBLS=true",))
    assert rocky("ro", NODE) == [], "the user's to configure, and no reboot before that"
    assert rocky("ro intel_iommu=on", NODE) == [Cmdline(("intel_iommu=on",))]
    assert rocky("ro", apply) == [Grubby(("intel_iommu=on",)), Cmdline(("intel_iommu=on",))]
    before = rocky("ro systemd.unified_cgroup_hierarchy=0", apply)
    assert before == rocky("ro systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all intel_iommu=on", apply)
    assert before[0] == Grubby((*V2, "intel_iommu=on"))
