"""What is passed through: the selection, its groups, and each reason for which a group stays with the host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from caasctl.facts.gpu import PciFunction, PciFunctions
from caasctl.facts.gpu_details import PciDetail, PciDetails, PciLink
from caasctl.facts.gpu_host import PciUse
from caasctl.facts.network import Address, Link, Links
from caasctl.facts.network_routes import Route, Routes
from caasctl.model import Facts
from caasctl.needs.gpu import GpuGroup, exclusion, groups, selecting, selection, to_bind
from caasctl.profile import GpuSelector, NodeProfile
from caasctl.profile_load import load

NODE = load("single-node")
GPU = PciFunction("0000:31:00.0", "10de", "2236", "030200", iommu_group="25")
SECOND = PciFunction("0000:ca:00.0", "10de", "2236", "030200", iommu_group="90")
PORT = PciFunction("0000:30:02.0", "8086", "347a", "060400", "pcieport", "25")
DISK = PciFunction("0000:32:00.0", "144d", "a80a", "010802", "nvme", "25")
NIC = PciFunction("0000:33:00.0", "15b3", "1017", "020000", "mlx5_core", "25")
SOUND = PciFunction("0000:31:00.1", "10de", "1aef", "040300", "snd_hda_intel", "25")
USB = PciFunction("0000:31:00.2", "10de", "1ad8", "0c0330", "xhci_hcd", "25")
UCSI = PciFunction("0000:31:00.3", "10de", "1ad9", "0c8000", "nvidia-gpu", "25")
SWITCH = PciFunction("0000:81:00.0", "10de", "22a3", "068000", iommu_group="70")
WHOLE = load(
    "single-node", ('gpu.select=[{"vendor":"10de","class":"03"},{"address":"32:00.0"},{"address":"33:00.0"}]',)
)


def known(*functions: PciFunction, use: PciUse | None = None, **details: PciDetail) -> Facts:
    """details: by the bus of their function, as b31=..."""
    by_bus = {function.address[5:7]: function.address for function in reversed(functions)}
    named = {by_bus[key[1:]]: detail for key, detail in details.items()}
    routes = Routes((Route("0.0.0.0/0", "192.0.2.1", "br0"),))
    links = Links((Link("eno1", addresses=(Address("192.0.2.10", 24),)), Link("eno2"), Link("br0", "bridge")))
    return Facts((PciFunctions(functions), PciDetails(named), use or PciUse(), links, routes))


def only(
    *functions: PciFunction, profile: NodeProfile = NODE, use: PciUse | None = None, **details: PciDetail
) -> GpuGroup:
    (group,) = groups(known(*functions, use=use, **details), profile)
    return group


def test_a_card_of_its_own_is_the_whole_group() -> None:
    group = only(GPU, PORT)
    assert group == GpuGroup("25", (GPU,), (GPU,), (), (PORT,))
    assert (group.cards, group.others(GPU.address), group.bound) == (("0000:31:00",), (), False)
    assert to_bind(known(GPU, PORT), NODE) == (GPU,)


def test_the_functions_of_a_workstations_card_go_together() -> None:
    assert only(GPU, SOUND, USB, UCSI).refused == ()
    assert to_bind(known(GPU, SOUND, USB, UCSI), NODE) == (GPU, SOUND, USB, UCSI)


def test_the_sound_of_a_card_that_is_no_display_goes_with_it_too() -> None:
    other = replace(GPU, class_code="00ff00")
    profile = load("single-node", ('gpu.select=[{"vendor":"10de","device":"2236"}]',))
    assert only(other, SOUND, profile=profile).refused == ()


def test_two_cards_in_one_group_go_together_or_not_at_all() -> None:
    beside = replace(SECOND, iommu_group="25")
    group = only(GPU, beside)
    assert group.refused == ()
    assert group.others(GPU.address) == (beside.address,)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (DISK, "0000:32:00.0 is a storage controller"),
        (NIC, "0000:33:00.0 is a network card"),
        (replace(NIC, class_code="020700"), "0000:33:00.0 is an InfiniBand adapter"),
        (replace(USB, address="0000:34:00.0"), "0000:34:00.0 is a USB controller, perhaps the keyboard's"),
        (replace(USB, vendor="1022"), "0000:31:00.2 is a USB controller, perhaps the keyboard's"),
        (replace(SOUND, address="0000:34:00.0"), "0000:34:00.0 is a sound or video device of the host"),
        (replace(DISK, class_code="030000"), "0000:32:00.0 is a display that the profile does not select"),
        (replace(DISK, class_code="060100", driver=""), "0000:32:00.0 is a part of the chipset"),
        (replace(DISK, class_code="058000", driver="switchtec"), "0000:32:00.0 is driven by switchtec"),
    ],
)
def test_what_is_the_hosts_keeps_the_group_whatever_drives_it(other: PciFunction, why: str) -> None:
    assert only(GPU, other).refused == (why,)
    assert to_bind(known(GPU, other), NODE) == ()
    if other.driver != "switchtec":
        assert only(GPU, replace(other, driver="vfio-pci")).refused == (why,)


def test_what_nobody_drives_and_no_host_needs_goes_along() -> None:
    management = PciFunction("0000:35:00.0", "11f8", "4128", "058000", "", "25")
    assert only(GPU, management).refused == ()
    assert only(GPU, replace(management, driver="vfio-pci")).refused == ()


def test_what_the_profile_excludes_is_not_taken_with_its_group() -> None:
    profile = load("single-node", ('gpu.exclude=["32:00.0"]',))
    (reason,) = only(GPU, replace(GPU, address="0000:32:00.0"), profile=profile).refused
    assert reason == "0000:32:00.0 is excluded by the profile (spec.gpu.exclude)"


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (PciUse({DISK.address: ("/", "swap")}), "0000:32:00.0 has disks that hold /, swap"),
        (PciUse(interfaces={NIC.address: ("eno1",)}), "0000:33:00.0 carries 192.0.2.10 (eno1)"),
        (PciUse(interfaces={NIC.address: ("eno2", "br0")}), "0000:33:00.0 carries the default route (br0)"),
        (PciUse(interfaces={NIC.address: ("eno2", "lost")}), ""),
    ],
)
def test_what_is_selected_and_in_use_is_refused_all_the_same(use: PciUse, why: str) -> None:
    assert only(GPU, DISK, NIC, profile=WHOLE, use=use).refused == ((why,) if why else ())


def test_an_interface_is_in_use_where_addresses_are_not_known() -> None:
    facts = Facts((PciFunctions((GPU, NIC)), PciDetails({}), PciUse(interfaces={NIC.address: ("eno2",)})))
    assert groups(facts, WHOLE)[0].refused == ("0000:33:00.0 carries eno2",)


def test_the_consoles_display_stays_unless_the_profile_names_it() -> None:
    card = replace(GPU, class_code="030000")
    shown = PciDetail(boot_vga=True)
    assert only(card, b31=shown).refused == ("0000:31:00.0 is the display that the console is on (boot_vga)",)
    named = load("single-node", ('gpu.select=[{"address":"31:00.0"}]',))
    assert only(card, profile=named, b31=shown).refused == ()
    assert only(GPU, b31=shown).refused == ()  # a 3D controller shows nothing


def test_a_card_that_fell_off_the_bus_is_left_alone() -> None:
    dead = PciDetail(link=PciLink("Unknown", 63, "Unknown", 63))
    assert only(GPU, b31=dead).refused == ("0000:31:00.0 does not answer: it fell off the bus",)
    named = load("single-node", ('gpu.select=[{"address":"31:00.0"}]',))
    assert "fell off" in only(replace(GPU, vendor="ffff"), profile=named).refused[0]


@pytest.mark.parametrize(
    ("select", "taken"),
    [
        ('[{"vendor":"10de","class":"03"}]', False),
        ('[{"vendor":"10de"}]', False),
        ('[{"vendor":"10de","class":"06"}]', False),
        ('[{"vendor":"10de","class":"0680"}]', True),
        ('[{"vendor":"10de","device":"22a3"}]', True),
        ('[{"address":"81:00.0"}]', True),
    ],
)
def test_switches_go_to_guests_only_where_the_profile_means_them(select: str, *, taken: bool) -> None:
    profile = load("single-node", (f"gpu.select={select}",))
    assert (SWITCH in to_bind(known(GPU, SWITCH), profile)) is taken


def test_a_switch_that_is_not_selected_keeps_the_group() -> None:
    (reason,) = only(GPU, replace(SWITCH, iommu_group="25")).refused
    assert reason.startswith("0000:81:00.0 is an NVSwitch, which goes to a guest only where spec.gpu.select names")


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (DISK, "a storage controller"),
        (NIC, "a network card"),
        (replace(NIC, class_code="020700"), "an InfiniBand adapter"),
        (replace(NIC, class_code="060100"), "a part of the chipset"),
        (replace(NIC, class_code="088000"), "a part of the chipset"),
        (USB, "a USB controller, perhaps the keyboard's"),
    ],
)
def test_a_wide_selector_takes_no_function_that_is_a_hosts_own(function: PciFunction, what: str) -> None:
    wide = load("single-node", (f'gpu.select=[{{"vendor":"{function.vendor}"}}]',))
    words = f"{function.address} is {what}, which goes to a guest only where spec.gpu.select names its address"
    assert only(function, profile=wide).refused == (words,)
    address = load("single-node", (f'gpu.select=[{{"address":"{function.address}"}}]',))
    assert only(function, profile=address).refused == ()


def test_a_wide_selector_takes_a_card_with_all_its_functions() -> None:
    wide = load("single-node", ('gpu.select=[{"vendor":"10de"}]',))
    assert to_bind(known(GPU, SOUND, USB, UCSI), wide) == (GPU, SOUND, USB, UCSI)
    accelerator = PciFunction("0000:05:00.0", "1002", "74a1", "120000", "amdgpu", "9")
    assert to_bind(known(accelerator), load("single-node", ('gpu.select=[{"class":"12"}]',))) == (accelerator,)


def test_arguments_for_a_profile_keep_what_it_says_already() -> None:
    profile = load("single-node", ('gpu.exclude=["0A:00.0", "0000:31:00.0"]',))
    assert exclusion(profile, GPU.address) == '--set \'gpu.exclude=["0000:0a:00.0", "0000:31:00.0"]\''
    more = selecting(NODE, GpuSelector(address=GPU.address))
    assert more == '--set \'gpu.select=[{"vendor": "10de", "class": "03"}, {"address": "0000:31:00.0"}]\''
    setting = more.partition("'")[2][:-1]
    assert load("single-node", (setting,)).spec.gpu.select == (*NODE.spec.gpu.select, GpuSelector(address=GPU.address))


def test_virtual_functions_go_before_their_physical_function_does() -> None:
    virtual = replace(GPU, address="0000:36:00.4", iommu_group="25")
    details = PciDetail(physfn=GPU.address)
    assert selection(known(GPU, virtual, b36=details), NODE) == (GPU,)
    assert only(GPU, virtual, b36=details).members == (GPU,)
    alone = load("single-node", ('gpu.select=[{"address":"36:00.4"}]',))
    assert selection(known(GPU, virtual, b36=details), alone) == (virtual,)


def test_nothing_is_selected_where_passthrough_is_off_or_there_is_nothing() -> None:
    assert groups(known(GPU), load("single-node", ('gpu.passthrough="off"',))) == ()
    assert groups(known(DISK, NIC), NODE) == groups(known(), NODE) == ()


def test_a_bridge_that_is_selected_and_a_card_in_no_group_make_no_group() -> None:
    assert groups(known(PORT), load("single-node", ('gpu.select=[{"address":"30:02.0"}]',))) == ()
    lost = replace(GPU, iommu_group="")
    assert groups(known(lost), NODE) == ()
    assert selection(known(lost), NODE) == (lost,)


@pytest.mark.parametrize(
    "functions", [(GPU,), (GPU, SOUND, USB, UCSI), (GPU, DISK), (GPU, SWITCH), (GPU, SECOND, PORT)]
)
def test_binding_changes_no_verdict(functions: tuple[PciFunction, ...]) -> None:
    after = tuple(f if f.bridge else replace(f, driver="vfio-pci") for f in functions)
    said = [(group.number, group.refused) for group in groups(known(*functions), NODE)]
    assert [(group.number, group.refused) for group in groups(known(*after), NODE)] == said
