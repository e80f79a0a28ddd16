"""--auto-reboot on a node of stand-ins: the unit's own command line is run, and a boot is a new boot id and a command line."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
from tests.cluster.host import TOP, Host
from tests.cluster.test_interrupts import held, let_go, until_held

pytestmark = [pytest.mark.root]
OK, USAGE, FAILED, REBOOT, LOCKED = 0, 2, 3, 4, 5
ARGUMENT = "transparent_hugepage=madvise"
UNIT = "/etc/systemd/system/caasctl-resume.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/caasctl-resume.service"
LIB = "/var/lib/caasctl"
# As a console script of pip's, but for the checkout that is not installed.
PROGRAM = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(TOP / 'src')!r})\nfrom caasctl.__main__ import main\nsys.exit(main())\n"
# A start that works now only, as by PYTHONPATH: the script that it names does not.
LATE = f"import sys; sys.path.insert(0, {str(TOP / 'src')!r}); sys.argv[0] = '/opt/caasctl'; from caasctl.__main__ import main; sys.exit(main())"
# A run by hand that holds the host's lock until the node ends.
HOLDS = """import time
from caasctl.host import LiveHost
with LiveHost().lock("/run/caasctl/lock", "caasctl init-node by hand"):
    time.sleep(1000)
"""
ENTRY = f"title Debian\nversion 6.1\nlinux /vmlinuz\noptions ro quiet {ARGUMENT}\n"  # the user has configured it, and not rebooted
PLAIN, WITH = "BOOT_IMAGE=/vmlinuz ro quiet", f"BOOT_IMAGE=/vmlinuz ro quiet {ARGUMENT}"
WORDS = (
    "--set",
    f"boot.kernelArgs=[{ARGUMENT}]",
    "--set",
    "runtimes=[runc]",
    "--set",
    "boot.iommu=off",
    "--set",
    "metadata.name=100% $HOME",
    "--phase",
    "host",
    "--phase",
    "boot",
)


@pytest.fixture
def node(host: Host) -> Host:
    if any(path.startswith(("/tmp/", "/run/")) for path in (sys.executable, str(TOP))):
        pytest.skip("a checkout whose place does not outlive a boot is refused by --auto-reboot")
    host.sh(f"rm -rf {LIB}; mount -t tmpfs tmpfs /boot")  # not what this machine has of its own
    host.write("/usr/local/bin/caasctl", PROGRAM)
    host.path("/usr/local/bin/caasctl").chmod(0o755)
    host.write("/boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n")
    host.write("/boot/loader/entries/debian.conf", ENTRY)
    return host


def caasctl(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return host.run("/usr/local/bin/caasctl", *words, environment={"PYTHONPATH": "", "HTTPS_PROXY": "http://p:3128"})


def asks(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    return caasctl(host, "init-node", "--yes", *WORDS, *words)


def boot(host: Host, number: int, arguments: str = PLAIN) -> None:
    host.write("/proc/sys/kernel/random/boot_id", f"boot-{number}\n")
    host.write("/proc/cmdline", f"{arguments}\n")
    host.sh("rm -rf /run/caasctl /run/motd.d")


def unit(host: Host) -> list[str]:
    """The unit's command, as systemd reads it."""
    line = re.findall(r"^ExecStart=(.*)$", host.text(UNIT), re.MULTILINE)[0]
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)]


def resumes(host: Host) -> subprocess.CompletedProcess[str]:
    return host.run("env", "-i", "PATH=/usr/bin:/bin", *unit(host))


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


def exists(host: Host, *paths: str) -> list[bool]:
    return [host.path(path).exists() or host.path(path).is_symlink() for path in paths]


def gone(host: Host) -> bool:
    return not any(exists(host, UNIT, WANTED, f"{LIB}/resume.json", f"{LIB}/resume.env"))


def armed(host: Host) -> None:
    boot(host, 0)
    first = asks(host, "--auto-reboot")
    assert first.returncode == REBOOT, said(first)
    assert host.calls("systemctl")[-2:] == ["systemctl enable -- caasctl-resume.service", "systemctl reboot"]


def test_it_reboots_goes_on_and_takes_itself_away(node: Host) -> None:
    boot(node, 0)
    first = asks(node, "--auto-reboot")
    assert first.returncode == REBOOT, said(first)
    assert "after phase boot, by itself (--auto-reboot): every session ends, SSH too" in said(first)
    assert "The host reboots by itself, and goes on after it" in said(first)
    assert "rebooting now: every session on this host ends" in said(first)
    assert node.calls("systemctl")[-2:] == ["systemctl enable -- caasctl-resume.service", "systemctl reboot"]
    assert all(exists(node, UNIT, WANTED, f"{LIB}/resume.env"))
    assert "--set=metadata.name=100% $HOME" in unit(node)

    early = resumes(node)  # somebody starts it by hand before the reboot
    assert early.returncode == USAGE
    assert "not rebooted yet" in said(early)
    assert json.loads(node.text(f"{LIB}/resume.json"))["tries"] == 0

    boot(node, 1, WITH)
    done = resumes(node)
    assert done.returncode == OK, said(done)
    assert "try 1 of 3: converged" in done.stderr
    assert gone(node)
    assert not any(exists(node, f"{LIB}/reboot.json"))
    assert "Converged" in node.text(f"{LIB}/resumed.txt")
    assert node.path(f"{LIB}/resumed.txt").stat().st_mode & 0o777 == 0o600
    assert f"{LIB}/resumed.txt" in node.text("/run/motd.d/caasctl")
    assert asks(node).returncode == OK
    assert not any(exists(node, "/run/motd.d/caasctl"))  # read by now


def test_a_boot_without_the_arguments_stops_and_never_loops(node: Host) -> None:
    armed(node)
    boot(node, 1)
    reboots = len(node.calls("systemctl reboot"))
    done = resumes(node)
    assert done.returncode == FAILED, said(done)
    assert "did not come up as phase boot had set it up" in said(done)
    assert f"missing: {ARGUMENT}" in said(done)
    assert "did not come up" in node.text(f"{LIB}/resumed.txt")
    assert "stopped (exit code 3)" in node.text("/run/motd.d/caasctl")
    assert gone(node)
    assert len(node.calls("systemctl reboot")) == reboots
    again = asks(node)  # somebody who has looked runs it again
    assert again.returncode == REBOOT
    assert "reboot.json" in node.sh(f"ls {LIB}")


def test_a_run_by_hand_takes_over_from_a_try_that_was_cut_off(node: Host) -> None:
    armed(node)
    boot(node, 1, WITH)
    unit_text = node.text(UNIT)
    held(node, "systemctl", "show")
    process = node.start("env", "-i", "PATH=/usr/bin:/bin", *unit(node))
    until_held(node)
    assert json.loads(node.text(f"{LIB}/resume.json"))["tries"] == 1
    node.kill(process)
    assert node.text(UNIT) == unit_text
    let_go(node)
    assert asks(node).returncode == OK
    assert gone(node)


def test_a_unit_that_finds_another_run_at_work_goes_on_with_the_next_boot(node: Host) -> None:
    armed(node)
    boot(node, 1, WITH)
    node.background(sys.executable, "-c", HOLDS)
    node.until("grep -q 'by hand' /run/caasctl/lock")
    done = resumes(node)
    assert done.returncode == LOCKED
    assert "`caasctl init-node by hand`, started " in said(done)
    assert not gone(node)
    assert json.loads(node.text(f"{LIB}/resume.json"))["tries"] == 1


def test_a_profile_that_broke_meanwhile_stops_it(node: Host) -> None:
    boot(node, 0)
    node.write(
        "/root/node.yaml",
        "apiVersion: caasctl.io/v1alpha1\nkind: NodeProfile\nmetadata: {name: x}\nextends: single-node\n",
    )
    assert asks(node, "--auto-reboot", "--profile", "/root/node.yaml").returncode == REBOOT
    boot(node, 1, WITH)
    node.write("/root/node.yaml", "{")
    done = resumes(node)
    assert done.returncode == USAGE
    report = node.text(f"{LIB}/resumed.txt")
    assert "YAML" in report
    assert "cause" in report
    assert "fix" in report
    assert gone(node)


def test_a_reboot_that_is_refused_leaves_the_unit_for_one_by_hand(node: Host) -> None:
    boot(node, 0)
    node.fail("reboot", "Call to Reboot failed: Operation inhibited")
    done = asks(node, "--auto-reboot")
    assert done.returncode == FAILED
    assert "Operation inhibited" in said(done)
    assert "reboot by hand" in said(done)
    assert not gone(node)


def test_undo_takes_what_waits_for_the_reboot_away(node: Host) -> None:
    armed(node)
    done = caasctl(node, "undo", "--yes")
    assert done.returncode == OK, said(done)
    assert gone(node)
    assert not any(exists(node, f"{LIB}/reboot.json"))


def test_what_could_not_go_on_is_refused_before_any_change(node: Host) -> None:
    boot(node, 0)
    node.write("/run/x/node.yaml", "{}")
    done = asks(node, "--auto-reboot", "--profile", "/run/x/node.yaml")
    assert done.returncode == USAGE
    assert "does not outlive one" in said(done)
    assert not any(exists(node, f"{LIB}/runs"))
    node.write("/opt/caasctl", PROGRAM.replace("caasctl.__main__", "caasctl.elsewhere"))
    broken = node.run(sys.executable, "-c", LATE, *("init-node", "--yes", *WORDS, "--auto-reboot"))
    assert broken.returncode == USAGE
    assert "cannot start this caasctl again" in said(broken)
    assert "No module named 'caasctl.elsewhere'" in said(broken)
