"""gpu.sh over a tree of sysfs, in a mount namespace of its own: what it writes, and what it leaves alone."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from caasctl.formats import render
from caasctl.model import HEADER, MARK
from caasctl.syntax.cdi.spec import parse

pytestmark = pytest.mark.root
KIND = "nvidia.com/pgpu"
_IN_NAMESPACE = """
set -eu
mount --bind "$1/pci" /sys/bus/pci
mount -t tmpfs dev /dev
mknod -m 666 /dev/null c 1 3
[ ! -e "$1/iommu" ] || : >/dev/iommu
[ ! -d "$1/dev" ] || cp -r "$1/dev/." /dev
[ ! -e "$1/used" ] || exec 9<"$(cat "$1/used")"
mkdir -p "$1/bin" && printf '#!/bin/sh\\n' >"$1/bin/modprobe" && chmod +x "$1/bin/modprobe"
top=$1
shift
PATH=$top/bin:$PATH exec /bin/sh "$top/gpu.sh" "$@"
"""


@dataclass(frozen=True)
class Function:
    address: str
    vendor: str = "10de"
    device: str = "2236"
    kind: str = KIND


@dataclass
class Host:
    top: Path
    functions: list[Function] = field(default_factory=list)

    def function(self, address: str, group: str, driver: str = "vfio-pci", node: str = "", **other: str) -> None:
        """device: what the table expects; the tree has 2236."""
        folder = self.top / "pci/devices" / address
        folder.mkdir(parents=True)
        (folder / "vendor").write_text("0x10de\n")
        (folder / "device").write_text("0x2236\n")
        (folder / "iommu_group").symlink_to(f"../../kernel/iommu_groups/{group}")
        if driver:
            drivers = self.top / f"pci/drivers/{driver}"
            drivers.mkdir(parents=True, exist_ok=True)
            (folder / "driver").symlink_to(f"../../drivers/{driver}")
        if node:
            (folder / "vfio-dev" / node).mkdir(parents=True)
            (folder / "vfio-dev" / node / "uevent").write_text(f"MAJOR=511\nDEVNAME=vfio/devices/{node}\n")
        self.functions.append(Function(address, **other))

    def node(self, path: str, *, used: bool = False) -> None:
        """A file where a device node would be; used: the shell that runs the script has it open."""
        place = self.top / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        if used:
            (self.top / "used").write_text(path)

    def run(self, *words: str, rc: int = 0) -> str:
        kinds = [(KIND, self.specification, "0.5.0")]
        text = render("gpu.sh.j2", header=HEADER, functions=self.functions, kinds=kinds)
        (self.top / "gpu.sh").write_text(text)
        argv = ("unshare", "-m", "--propagation", "slave", "sh", "-c", _IN_NAMESPACE, "sh", str(self.top), *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == rc, done.stdout + done.stderr
        return done.stdout

    @property
    def specification(self) -> Path:
        return self.top / "cdi/caasctl.yaml"

    def devices(self) -> dict[str, list[str]]:
        """As CDI's readers see it."""
        read = parse(self.specification.read_text(), "")
        assert read.problems == ()
        assert read.spec
        assert (read.version, read.spec.kind) == ("0.5.0", KIND)
        return {device.name: [node.path for node in device.nodes] for device in read.spec.devices}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_device_is_named_by_its_group_and_one_that_goes_along_is_none(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.function("0000:65:00.1", "25", kind="")
    host.function("0000:b1:00.0", "31")
    host.run("up")
    assert MARK in host.specification.read_text().lower()
    assert host.devices() == {"25": ["/dev/vfio/vfio", "/dev/vfio/25"], "31": ["/dev/vfio/vfio", "/dev/vfio/31"]}


def test_two_functions_of_a_group_are_one_device(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.function("0000:66:00.0", "25")
    host.run("up")
    assert list(host.devices()) == ["25"]


def test_where_the_kernel_has_character_devices_these_are_named(host: Host) -> None:
    (host.top / "iommu").touch()
    host.node("/dev/vfio/devices/vfio3")
    host.function("0000:65:00.0", "25", node="vfio3")
    host.function("0000:66:00.0", "26")  # this one has none
    host.run("up")
    assert host.devices() == {"3": ["/dev/vfio/devices/vfio3"], "26": ["/dev/vfio/vfio", "/dev/vfio/26"]}


def test_without_iommufd_a_character_device_is_of_no_use(host: Host) -> None:
    host.function("0000:65:00.0", "25", node="vfio3")
    host.run("up")
    assert list(host.devices()) == ["25"]


def test_a_kernel_that_names_character_devices_and_makes_none_is_served_by_groups(host: Host) -> None:
    """Linux 6.2 to 6.5, and builds without VFIO_DEVICE_CDEV."""
    (host.top / "iommu").touch()
    host.function("0000:65:00.0", "25", node="vfio3")
    host.run("up")
    assert host.devices() == {"25": ["/dev/vfio/vfio", "/dev/vfio/25"]}


def test_a_function_that_loses_its_group_meanwhile_spoils_no_file(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.function("0000:66:00.0", "26")
    (host.top / "pci/devices/0000:65:00.0/iommu_group").unlink()
    host.run("up")
    assert list(host.devices()) == ["26"]


@pytest.mark.parametrize(
    ("driver", "node", "path"),
    [
        ("vfio-pci", "", "/dev/vfio/25"),
        ("vfio-pci", "vfio3", "/dev/vfio/devices/vfio3"),
    ],
)
def test_what_a_guest_has_is_not_released(host: Host, driver: str, node: str, path: str) -> None:
    """A guest has the node of the group open, or the character device: an unbind would hang in the kernel until it ends."""
    host.node(path, used=True)
    host.function("0000:65:00.0", "25", driver=driver, node=node)
    said = host.run("release", "0000:65:00.0=nouveau", rc=1)
    assert "0000:65:00.0 is in use: /proc/" in said
    assert not (host.top / "pci/devices/0000:65:00.0/driver_override").exists()


@pytest.mark.parametrize(("driver", "path"), [("nvidia", "/dev/nvidiactl"), ("amdgpu", "/dev/dri/card1")])
def test_what_a_program_uses_is_not_taken_from_it(host: Host, driver: str, path: str) -> None:
    host.node(path, used=True)
    host.function("0000:65:00.0", "25", driver=driver)
    card = host.top / "pci/devices/0000:65:00.0/drm/card1"
    card.mkdir(parents=True)
    (card / "uevent").write_text("MAJOR=226\nDEVNAME=dri/card1\nDEVTYPE=drm_minor\n")
    said = host.run("up", rc=1)
    assert f"0000:65:00.0 ({driver}) is in use: /proc/" in said
    assert not (host.top / "pci/devices/0000:65:00.0/driver_override").exists()


def test_what_others_use_holds_nothing_up(host: Host) -> None:
    host.node("/dev/vfio/31", used=True)
    host.function("0000:65:00.0", "25")
    host.run("release", "0000:65:00.0=")
    assert (host.top / "pci/drivers/vfio-pci/unbind").read_text() == "0000:65:00.0\n"


def test_a_release_makes_no_file_that_was_not_there(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.run("release", "0000:65:00.0=")
    assert not host.specification.exists()


def test_what_is_not_bound_is_not_named_and_nothing_bound_means_no_file(host: Host) -> None:
    host.specification.parent.mkdir()
    host.specification.write_text("of the last boot")
    host.function("0000:65:00.0", "25", driver="nouveau")
    said = host.run("up", rc=1)
    assert "vfio-pci does not take 0000:65:00.0, which had nouveau" in said
    assert f"no device of {KIND} is on vfio-pci" in said
    assert not host.specification.exists()
    assert (host.top / "pci/devices/0000:65:00.0/driver_override").read_text() == "vfio-pci\n"
    assert (host.top / "pci/drivers/nouveau/unbind").read_text() == "0000:65:00.0\n"


def test_another_card_at_that_address_is_left_alone(host: Host) -> None:
    host.function("0000:65:00.0", "25", driver="ixgbe", device="2330")
    assert "is 0x10de 0x2236 now, not 0x10de 0x2330: left alone" in host.run("up", rc=1)
    assert not (host.top / "pci/devices/0000:65:00.0/driver_override").exists()


def test_a_card_that_is_gone_does_not_keep_the_others(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.functions.insert(0, Function("0000:17:00.0"))
    assert "0000:17:00.0 is not there" in host.run("up", rc=1)
    assert list(host.devices()) == ["25"]


def test_virtual_functions_go_before_their_driver(host: Host) -> None:
    host.function("0000:65:00.0", "25", driver="nvme")
    (host.top / "pci/devices/0000:65:00.0/sriov_numvfs").write_text("2\n")
    host.run("bind", "0000:65:00.0", rc=1)
    assert (host.top / "pci/devices/0000:65:00.0/sriov_numvfs").read_text() == "0\n"


def test_only_what_is_asked_for_is_bound(host: Host) -> None:
    host.function("0000:65:00.0", "25", driver="nouveau")
    host.function("0000:66:00.0", "26", driver="nouveau")
    host.run("bind", "0000:66:00.0", rc=1)
    assert not (host.top / "pci/devices/0000:65:00.0/driver_override").exists()
    assert not host.specification.exists()


def test_a_release_clears_the_override_and_asks_for_the_driver_of_before(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.run("up")
    host.run("release", "0000:65:00.0=nouveau")
    assert (host.top / "pci/devices/0000:65:00.0/driver_override").read_text() == "\n"
    assert (host.top / "pci/drivers/vfio-pci/unbind").read_text() == "0000:65:00.0\n"
    assert (host.top / "pci/drivers_probe").read_text() == "0000:65:00.0\n"


def test_what_is_released_is_not_named_any_more(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    host.function("0000:66:00.0", "26")
    host.run("up")
    (host.top / "pci/devices/0000:65:00.0/driver").unlink()  # as the kernel does where it is unbound
    host.run("release", "0000:65:00.0=")
    assert list(host.devices()) == ["26"]
    (host.top / "pci/devices/0000:66:00.0/driver").unlink()
    host.run("release", "0000:66:00.0=")
    assert not host.specification.exists()


def test_it_says_how_it_is_called(host: Host) -> None:
    host.function("0000:65:00.0", "25")
    assert "usage" in host.run("frobnicate", rc=2)
    assert "usage" in host.run(rc=2)
