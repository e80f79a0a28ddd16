"""GPUs against a tree of sysfs in which gpu.sh takes effect as it does on a node; tests/vm/test_gpu.py has the kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl.model import MARK, CaasError, CommandError
from caasctl.protocol import IN_EFFECT, Absent, Completed, Done, Impossible, Known, Unknown
from caasctl.resources.files import Gone, Transaction
from caasctl.resources.gpu import Binding, holders
from caasctl.resources.gpu.initramfs import InitramfsActivation
from caasctl.resources.gpu.release import Released, SpecificationsGone
from caasctl.resources.gpu.specification import Specification

SCRIPT = "/usr/local/lib/caasctl/gpu.sh"
GPU, SOUND = "0000:65:00.0", "0000:65:00.1"
PAIR = Binding("25", (GPU, SOUND), SCRIPT)
PCI = "/sys/bus/pci"
NODES = ("/dev/vfio/vfio", "/dev/vfio/25")


class PciNode(CrashingHost):
    """Functions by links; gpu.sh moves them. stubborn: one that no driver takes away."""

    stubborn = ""

    def plant(self, path: str, text: str = "") -> None:
        place = Path(self.root + path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def function(self, address: str, driver: str = "", group: str = "25") -> None:
        self.plant(f"{PCI}/devices/{address}/uevent")
        if group:
            os.symlink(f"../../../kernel/iommu_groups/{group}", f"{self.root}{PCI}/devices/{address}/iommu_group")
        self.drive(address, driver)

    def drive(self, address: str, driver: str) -> None:
        link = Path(f"{self.root}{PCI}/devices/{address}/driver")
        link.unlink(missing_ok=True)
        if driver:
            link.symlink_to(f"../../../bus/pci/drivers/{driver}")

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        def act() -> None:
            self.commands.append(argv)
            self._script(*argv[2:]) if argv[:2] == ("/bin/sh", SCRIPT) else None

        self._around(act)
        return Completed(argv, 0)

    def _script(self, task: str, *words: str) -> None:
        for word in words:
            address, _, driver = word.partition("=")
            if address == self.stubborn:
                raise CommandError("gpu.sh failed", cause=f"vfio-pci does not take {address}", fix="")
            self.drive(address, "vfio-pci" if task == "bind" else driver)


@pytest.fixture
def host(tmp_path: Path) -> PciNode:
    found = PciNode(str(tmp_path))
    found.function(GPU, "nouveau")
    found.function(SOUND)
    return found


# -- binding -----------------------------------------------------------------------------------------------------------
def test_a_group_goes_to_vfio_pci_whole_and_once(host: PciNode) -> None:
    before = PAIR.look(host)
    assert before == Known(f"{GPU} nouveau\n{SOUND} no driver")
    assert [PAIR.apply(host, PAIR.look(host)) for _ in range(2)] == [Done(), Done()]
    assert PAIR.look(host) == PAIR.target(before) == PAIR.target(PAIR.target(before))
    assert host.commands[0] == ("/bin/sh", SCRIPT, "bind", GPU, SOUND)


def test_its_way_back_gives_each_the_driver_that_it_had(host: PciNode) -> None:
    before = PAIR.look(host)
    PAIR.apply(host, before)
    (back,) = PAIR.undo(before).first
    assert back == ("/bin/sh", SCRIPT, "release", f"{GPU}=nouveau", f"{SOUND}=")
    host.execute(*back)
    assert PAIR.look(host) == before


def test_only_what_is_elsewhere_is_bound(host: PciNode) -> None:
    host.drive(GPU, "vfio-pci")
    PAIR.apply(host, PAIR.look(host))
    assert host.commands == [("/bin/sh", SCRIPT, "bind", SOUND)]
    assert not PAIR.undo(PAIR.look(host)).first


@pytest.mark.parametrize("at", range(2))
def test_a_binding_that_was_killed_is_made_by_the_next_run(tmp_path: Path, at: int) -> None:
    host = PciNode(str(tmp_path), at)
    host.function(GPU, "nouveau")
    host.function(SOUND)
    with pytest.raises(Killed):
        PAIR.apply(host, PAIR.look(host))
    again = PciNode(str(tmp_path))
    PAIR.apply(again, PAIR.look(again))
    assert PAIR.look(again) == PAIR.target(PAIR.look(again))


def test_one_that_stays_with_its_driver_is_a_failure(host: PciNode) -> None:
    host.stubborn = SOUND
    with pytest.raises(CommandError, match=r"gpu\.sh failed") as caught:
        PAIR.apply(host, PAIR.look(host))
    assert SOUND in caught.value.cause


def test_a_script_that_lies_is_seen_through(host: PciNode) -> None:
    host._script = lambda task, *words: None  # type: ignore[method-assign]
    with pytest.raises(CaasError, match="did not go to vfio-pci") as caught:
        PAIR.apply(host, PAIR.look(host))
    assert "dmesg" in caught.value.fix


def test_without_an_iommu_nothing_is_known_yet_and_what_is_gone_is_said(host: PciNode) -> None:
    Path(f"{host.root}{PCI}/devices/{SOUND}/iommu_group").unlink()
    assert PAIR.look(host) == Unknown(
        f"{SOUND} is in no IOMMU group: the IOMMU is not on yet, which phase boot and a reboot bring about"
    )
    gone = Binding("25", (GPU, "0000:99:00.0"), SCRIPT).look(host)
    assert isinstance(gone, Unknown)


# -- who has it --------------------------------------------------------------------------------------------------------
def opened(host: PciNode, pid: int, name: str, node: str) -> None:
    host.plant(f"/proc/{pid}/comm", f"{name}\n")
    (Path(host.root) / f"proc/{pid}/fd").mkdir()
    os.symlink(node, f"{host.root}/proc/{pid}/fd/7")


def test_a_device_is_not_torn_from_the_program_that_has_it_open(host: PciNode) -> None:
    host.plant(f"{PCI}/devices/{GPU}/drm/card1/uevent", "MAJOR=226\nMINOR=1\nDEVNAME=dri/card1\n")
    opened(host, 812, "Xorg", "/dev/dri/card1")
    outcome = PAIR.apply(host, PAIR.look(host))
    assert outcome == Impossible(
        f"{GPU} (nouveau) is in use: Xorg (pid 812) has /dev/dri/card1 open",
        "stop that (nvidia-persistenced and monitoring agents too), then run the same command again",
    )
    assert host.commands == []


def test_nvidias_nodes_are_no_children_of_the_function(host: PciNode) -> None:
    opened(host, 9, "nvidia-persiste", "/dev/nvidiactl")
    assert holders.of(host, GPU) == ()
    host.drive(GPU, "nvidia")
    assert holders.of(host, GPU) == ("nvidia-persiste (pid 9) has /dev/nvidiactl open",)


# -- initramfs ---------------------------------------------------------------------------------------------------------
RULES = "/etc/udev/rules.d/70-caasctl-gpu.rules"
HOOK = "/etc/initramfs-tools/hooks/zz-caasctl-gpu"
EARLY = InitramfsActivation("initramfs-tools", (RULES,))
HERE = {RULES: Known("rule")}


class BootNode(PciNode):
    """free_kib: what df says. works: whether update-initramfs does."""

    free_kib, works = 10**6, True

    def query(self, *argv: str, timeout_s: float = 5.0) -> Completed:
        assert argv[0] == "df"
        return Completed(argv, 0, f"   Avail\n{self.free_kib}\n")

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self.commands.append(argv)
        if argv[0] == "update-initramfs" and self.works:
            self.plant("/boot/initrd.img-6.1", "new")
        return Completed(argv, 0)


@pytest.fixture
def booted(tmp_path: Path) -> BootNode:
    found = BootNode(str(tmp_path))
    found.plant("/lib/modules/6.1/modules.dep")
    found.plant("/boot/initrd.img-6.1", "old")
    found.plant(RULES, "rule")
    return found


def test_an_image_that_is_older_than_the_rules_is_made_anew(booted: BootNode) -> None:
    assert EARLY.state(booted, HERE) == Known(f"older than {RULES}: /boot/initrd.img-6.1")
    EARLY.activate(booted)
    EARLY.prove(booted)
    assert EARLY.state(booted, HERE) == Known(IN_EFFECT)
    assert booted.commands == [("udevadm", "control", "--reload"), ("update-initramfs", "-u", "-k", "all")]


def test_an_image_that_stays_old_is_said(booted: BootNode) -> None:
    booted.works = False
    EARLY.activate(booted)
    with pytest.raises(CaasError, match="left images as they were") as caught:
        EARLY.prove(booted)
    assert f"touch {RULES}" in caught.value.fix


def test_a_full_boot_partition_is_refused_before_anything_is_written(booted: BootNode) -> None:
    booted.free_kib = 9000
    with pytest.raises(CaasError, match="/boot has 8 MiB free, a new initramfs takes 16 MiB"):
        EARLY.check(booted, {})
    assert booted.commands == []


def test_a_kernel_without_an_image_and_a_host_without_a_generator_owe_nothing(booted: BootNode) -> None:
    booted.plant("/lib/modules/6.99/modules.dep")
    EARLY.activate(booted)
    assert EARLY.state(booted, HERE) == Known(IN_EFFECT)
    assert InitramfsActivation("", (RULES,)).state(booted, HERE) == Known(IN_EFFECT)


def test_images_are_made_anew_for_rules_that_are_gone_until_their_hook_goes_too(booted: BootNode) -> None:
    """Killed between the removal of the rules and the new image, the next run must not take the old image for one without them."""
    booted.plant(HOOK, f"# {MARK}\n")
    early = InitramfsActivation("initramfs-tools", (RULES,), (Gone(HOOK),))
    taken = Transaction("gpu-early", (Gone(RULES),), early)
    booted.remove(RULES)
    assert taken.look(booted) != taken.target(taken.look(booted))
    taken.apply(booted, taken.look(booted))
    assert booted.commands[-1][0] == "update-initramfs"
    Gone(HOOK).apply(booted, Gone(HOOK).look(booted))
    assert taken.look(booted) == taken.target(taken.look(booted))
    booted.plant(HOOK, "not of caasctl\n")
    assert taken.look(booted) == taken.target(taken.look(booted))


def test_dracuts_image_has_the_name_that_the_distribution_gives(booted: BootNode) -> None:
    for name in ("initrd.img-6.1", "initramfs-6.1.img"):
        for image in Path(f"{booted.root}/boot").iterdir():
            image.rename(image.with_name(name))
        booted.plant(RULES, f"rule before {name}")
        state = InitramfsActivation("dracut", (RULES,)).state(booted, HERE)
        assert state == Known(f"older than {RULES}: /boot/{name}")


# -- CDI ---------------------------------------------------------------------------------------------------------------
PATH = "/var/run/cdi/caasctl-nvidia.com-pgpu.yaml"
PGPU = Specification("nvidia.com/pgpu", PATH, (GPU,), "caasctl-gpu.service")


def write(host: PciNode, **other: object) -> None:
    device = {"name": "25", "containerEdits": {"deviceNodes": [{"path": node} for node in NODES]}}
    host.plant(PATH, json.dumps({"cdiVersion": "0.5.0", "kind": "nvidia.com/pgpu", "devices": [device], **other}))


def test_a_specification_is_what_is_bound_now(host: PciNode) -> None:
    assert PGPU.look(host) == Absent()
    write(host)
    assert PGPU.look(host) == Known(IN_EFFECT) == PGPU.target(PGPU.look(host))
    write(host, kind="nvidia.com/gpu")
    assert PGPU.look(host) != Known(IN_EFFECT)
    assert PGPU.apply(host, PGPU.look(host)) == Done()
    assert host.commands == [("systemctl", "restart", "--", "caasctl-gpu.service")]


def test_its_way_back_is_a_command_for_what_was_not_there(host: PciNode) -> None:
    assert PGPU.undo(PGPU.look(host)).first == (("rm", "-f", "--", PATH),)
    write(host)
    assert not PGPU.undo(PGPU.look(host)).acts


def test_a_group_that_was_given_another_number_makes_it_stale(host: PciNode) -> None:
    write(host)
    link = Path(f"{host.root}{PCI}/devices/{GPU}/iommu_group")
    link.unlink()
    link.symlink_to("../../../kernel/iommu_groups/31")
    assert PGPU.look(host) != PGPU.target(PGPU.look(host))


def test_a_character_device_that_the_kernel_names_and_does_not_make_is_none(host: PciNode) -> None:
    write(host)
    host.plant("/dev/iommu")
    host.plant(f"{PCI}/devices/{GPU}/vfio-dev/vfio3/dev")
    assert PGPU.look(host) == Known(IN_EFFECT)  # by the group
    host.plant("/dev/vfio/devices/vfio3")
    assert PGPU.look(host) != Known(IN_EFFECT)


def test_a_card_that_is_being_taken_out_is_no_device(host: PciNode) -> None:
    write(host)
    Path(f"{host.root}{PCI}/devices/{GPU}/iommu_group").unlink()
    assert isinstance(PGPU.look(host), Unknown)


# -- reset -------------------------------------------------------------------------------------------------------------
def test_a_reset_gives_back_what_is_bound_and_nothing_else(host: PciNode) -> None:
    released = Released(("/bin/sh", SCRIPT, "release", f"{GPU}=nouveau", f"{SOUND}="))
    assert released.look(host) == Absent()
    PAIR.apply(host, PAIR.look(host))
    assert released.look(host) == Absent()  # the script is gone: only a boot gives them back
    host.plant(SCRIPT)
    released.apply(host, released.look(host))
    assert released.look(host) == Absent()
    assert PAIR.look(host) == Known(f"{GPU} nouveau\n{SOUND} no driver")


def test_a_reset_takes_the_specifications_of_ours_away(host: PciNode) -> None:
    write(host)
    host.plant("/var/run/cdi/vendor.json")
    gone = SpecificationsGone("/var/run/cdi")
    gone.apply(host, gone.look(host))
    assert gone.look(host) == Absent()
    assert os.listdir(f"{host.root}/var/run/cdi") == ["vendor.json"]
