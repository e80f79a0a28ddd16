"""A trial boot in the plan and the banner: what is tried, what becomes permanent when, and what to do if the machine stays away."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

from caasctl import commands
from caasctl.model import Exit, Report
from caasctl.phases import ORDER
from caasctl.report import banner, write

HOST = Path(__file__).resolve().parents[1] / "hosts/a10-hybrid-docker-containerd"
BOOT = tuple(phase for phase in ORDER if phase.id == "boot")
POWER_CYCLE = "if the machine does not come back, power-cycle it: it boots as before; after the reboot the same command makes it permanent"


def plan(*settings: str, host: Path = HOST) -> Report:
    return commands.Session("single-node", settings, str(host)).plan(BOOT)[1]


def text(planned: Report) -> str:
    out = io.StringIO()
    write(planned, "text", out, width=100)
    return " ".join(out.getvalue().split())


def said_before(planned: Report) -> str:
    out = io.StringIO()
    banner.write(planned, out, width=80)
    assert all(len(line) <= 80 for line in out.getvalue().splitlines())
    return " ".join(out.getvalue().split())


def test_a_stranger_reads_what_is_tried_and_what_will_be_permanent() -> None:
    planned = plan()
    said = text(planned)
    assert planned.exit_code is Exit.REBOOT
    assert "+menuentry 'Ubuntu, tried once with new kernel arguments (caasctl)'" in said
    assert f"then tried once by a menu entry of its own; {POWER_CYCLE}" in said
    assert "after-trial:/etc/default/grub.d/zz-caasctl.cfg" in said
    assert '+GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT' in said
    assert "when written by the same command after the reboot, once the kernel runs with these arguments" in said
    assert (
        f"Trial boot the new kernel command line is tried once by a menu entry of its own; {POWER_CYCLE}."
        in said_before(planned)
    )


def test_where_grub_cannot_forget_an_entry_the_plan_says_so_and_promises_nothing(tmp_path: Path) -> None:
    host = tmp_path / "host"
    shutil.copytree(HOST, host, symlinks=True)
    commands_ = json.loads((host / "commands.json").read_text())
    for command in commands_:
        if command["argv"][:2] == ["grub-probe", "--target=abstraction"]:
            command["stdout"] = "lvm\n"
    (host / "commands.json").write_text(json.dumps(commands_))
    planned = plan(host=host)
    why = "none, new kernel arguments are permanent at once: GRUB cannot write to /boot/grub, which lies on lvm"
    assert f"trial boot: {why}" in text(planned)
    assert f"Trial boot {why}." in said_before(planned)
    assert "power-cycle" not in text(planned) + said_before(planned)
    assert "42_caasctl_trial" not in text(planned)


def test_without_a_trial_asked_for_there_is_no_word_of_one() -> None:
    planned = plan("boot.trialBoot=off")
    said = text(planned) + said_before(planned)
    assert "remove /etc/default/grub.d/zz-caasctl.cfg; update-grub" in said
    assert not [word for word in ("trial boot", "Trial boot", "caasctl-trial", "42_caasctl_trial") if word in said]
