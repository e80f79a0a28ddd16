"""What GRUB's generator made is looked at before it counts; the real generator is in tests/grub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from caasctl.host import LiveHost
from caasctl.model import CaasError, CommandError
from caasctl.protocol import Completed
from caasctl.resources.grub import WORK, GrubActivation

OURS, CONFIG = "/etc/default/grub.d/zz-caasctl.cfg", "/boot/grub/grub.cfg"
ACTIVATION = GrubActivation(("intel_iommu=on",), OURS)
HEAD, TAIL = "### BEGIN /etc/grub.d/10_linux ###\n", "### END /etc/grub.d/10_linux ###\n"


def menu(*arguments: str) -> str:
    """A generated menu with one normal entry for each of the argument lists."""
    entries = "".join(f"menuentry 'Debian' {{\n linux /vmlinuz ro {text}\n}}\n" for text in arguments)
    return f"{HEAD}{entries}{TAIL}"


@dataclass(frozen=True)
class Generator:
    """What a stand-in generator prints to the side file, and what the update then writes, or fails over (broken)."""

    side: str
    real: str
    broken: bool = False


class Generating(LiveHost):
    """A tree with a stand-in of grub-mkconfig and update-grub."""

    def __init__(self, root: Path, generator: Generator) -> None:
        super().__init__(str(root))
        self.generator, self.ran = generator, list[str]()

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self.ran.append(argv[0])
        if argv[0] == "grub-mkconfig":
            self.write(argv[2], self.generator.side.encode(), 0o600)
        else:
            self.write(CONFIG, self.generator.real.encode(), 0o600)
            if self.generator.broken:
                raise CommandError("`update-grub` failed", cause="no space left on device", fix="mend it")
        return Completed(argv, 0)


def host(root: Path, generator: Generator, there: str) -> Generating:
    made = Generating(root, generator)
    made.write("/etc/default/grub", b'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    made.write(OURS, b'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"\n')
    made.write(CONFIG, there.encode(), 0o400)
    return made


OLD, NEW = menu("quiet"), menu("quiet intel_iommu=on")


def test_a_menu_that_is_right_on_the_side_is_then_made_for_real(tmp_path: Path) -> None:
    found = host(tmp_path, Generator(NEW, NEW), OLD)
    ACTIVATION.activate(found)
    ACTIVATION.prove(found)
    assert found.ran == ["grub-mkconfig", "update-grub"]
    assert found.list(WORK) is None


@pytest.mark.parametrize(
    ("side", "said"),
    [
        (menu("quiet"), "intel_iommu=on would not take effect"),
        (menu("quiet intel_iommu=on", "quiet intel_iommu=on intel_iommu=off"), "intel_iommu=on would not take effect"),
        (HEAD + TAIL, "without any entry that boots Linux"),
    ],
)
def test_a_menu_that_is_wrong_on_the_side_never_becomes_the_real_one(tmp_path: Path, side: str, said: str) -> None:
    found = host(tmp_path, Generator(side, NEW), OLD)
    with pytest.raises(CaasError, match=said):
        ACTIVATION.activate(found)
    assert found.ran == ["grub-mkconfig"]
    assert (found.read(CONFIG), found.list(WORK)) == (OLD, None)


def test_an_update_that_fails_half_way_leaves_the_old_menu(tmp_path: Path) -> None:
    found = host(tmp_path, Generator(NEW, "half", broken=True), OLD)
    with pytest.raises(CommandError):
        ACTIVATION.activate(found)
    there = found.stat(CONFIG)
    assert (found.read(CONFIG), there and there.mode) == (OLD, 0o400)


@pytest.mark.parametrize(
    ("real", "said"), [(HEAD + TAIL, "no entry that boots Linux"), (OLD, "its normal entries lack intel_iommu=on")]
)
def test_an_update_that_did_not_bring_it_about_is_a_failure(tmp_path: Path, real: str, said: str) -> None:
    with pytest.raises(CaasError, match="did not bring about") as caught:
        ACTIVATION.prove(host(tmp_path, Generator(NEW, NEW), real))
    assert said in caught.value.cause
