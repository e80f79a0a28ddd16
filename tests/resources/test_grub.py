"""What GRUB and the kernel owe, looked at on trees; grubby on a host that records. The real grub-mkconfig is in tests/grub."""

from __future__ import annotations

from pathlib import Path

import pytest

from caasctl.host import LiveHost
from caasctl.model import HEADER, CaasError, CommandError
from caasctl.protocol import IN_EFFECT, Absent, Completed, Done, Known, NeedsReboot, State, Unknown
from caasctl.resources.cmdline import Cmdline
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.grub import GrubActivation
from caasctl.resources.grubby import Grubby

OURS = "/etc/default/grub.d/zz-caasctl.cfg"
WANTED = ("cgroup_no_v1=all", "intel_iommu=on")
ACTIVATION = GrubActivation(WANTED, OURS)
ENTRY = """title Rocky
linux /vmlinuz-5.14
options root=/dev/sda1 ro {}
"""


class Recording(LiveHost):
    """A tree whose commands are only noted, or fail as told."""

    def __init__(self, root: str, fails: str = "") -> None:
        super().__init__(root)
        self.ran: list[tuple[str, ...]] = []
        self.fails = fails

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        self.ran.append(argv)
        if self.fails:
            raise CommandError(f"`{argv[0]}` failed", cause=self.fails, fix="mend it")
        return Completed(argv, 0)


def write(top: Path, path: str, text: str) -> None:
    place = top / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def menu(top: Path, arguments: str, recovery: str = "single") -> None:
    write(top, "/boot/grub/grub.cfg", "### BEGIN /etc/grub.d/10_linux ###\n"
          f"menuentry 'Debian' {{\n linux /vmlinuz ro {arguments}\n}}\n"
          f"menuentry 'Debian (recovery mode)' {{\n linux /vmlinuz ro {recovery}\n}}\n"
          "### END /etc/grub.d/10_linux ###\nmenuentry 'memtest' {\n linux16 /memtest.bin\n}\n")  # fmt: skip


def state(top: Path, activation: GrubActivation = ACTIVATION, ours: State | None = None) -> State:
    return activation.state(LiveHost(str(top)), {OURS: ours or Absent()})


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ("quiet cgroup_no_v1=all intel_iommu=on", IN_EFFECT),
        ("quiet", "normal entries of /boot/grub/grub.cfg lack cgroup_no_v1=all intel_iommu=on"),
        (
            "cgroup_no_v1=all intel_iommu=on intel_iommu=off",
            "normal entries of /boot/grub/grub.cfg lack intel_iommu=on",
        ),
    ],
)
def test_the_menu_is_judged_by_what_takes_effect_in_normal_entries(tmp_path: Path, arguments: str, found: str) -> None:
    write(tmp_path, "/etc/default/grub", f'GRUB_CMDLINE_LINUX="{arguments}"\n')
    menu(tmp_path, arguments)
    assert state(tmp_path) == Known(found)


def test_a_menu_that_is_not_there_is_owed(tmp_path: Path) -> None:
    assert state(tmp_path) == Known("there is no /boot/grub/grub.cfg yet")
    assert state(tmp_path, GrubActivation((), OURS)) == Known(IN_EFFECT)


def test_a_menu_that_cannot_be_read_is_unknown_unless_nothing_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "boot/grub/grub.cfg").mkdir(parents=True)
    assert isinstance(state(tmp_path), Unknown)
    assert state(tmp_path, GrubActivation((), OURS)) == Known(IN_EFFECT)


def test_what_a_killed_run_left_in_the_menu_is_owed_but_not_what_the_user_asks_for(tmp_path: Path) -> None:
    menu(tmp_path, "quiet intel_iommu=on hugepages=4")
    write(tmp_path, "/etc/default/grub", 'GRUB_CMDLINE_LINUX="hugepages=4"\n')
    nothing = GrubActivation((), OURS)
    assert state(tmp_path, nothing) == Known("/boot/grub/grub.cfg still carries intel_iommu=on")
    write(tmp_path, "/etc/default/grub", 'GRUB_CMDLINE_LINUX="$(cat /proc/cmdline)"\n')
    assert state(tmp_path, nothing) == Known(IN_EFFECT)


def test_check_reads_our_file_and_every_other_with_sh(tmp_path: Path) -> None:
    write(tmp_path, "/etc/default/grub", "GRUB_TIMEOUT=5\n")
    write(tmp_path, "/etc/default/grub.d/50-x.cfg", 'A="1\n')
    host = Recording(str(tmp_path))
    ACTIVATION.check(host, {OURS: b"A=1\n"})
    assert host.ran == [
        ("sh", "-n", "-c", "A=1\n"),
        ("sh", "-n", "/etc/default/grub"),
        ("sh", "-n", "/etc/default/grub.d/50-x.cfg"),
    ]


def test_check_refuses_what_grub_cannot_carry(tmp_path: Path) -> None:
    with pytest.raises(CaasError, match="cannot carry"):
        ACTIVATION.check(Recording(str(tmp_path)), {OURS: "A=ä\n".encode()})


@pytest.mark.parametrize(
    ("said", "where"),
    [
        (
            "/usr/sbin/grub-mkconfig: 4: /etc/default/grub.d/x.cfg: Syntax error: Unterminated quoted string",
            "grub.d/x.cfg:4",
        ),
        ("/etc/default/grub: line 7: unexpected EOF while looking for matching", "/etc/default/grub:7"),
        ("/etc/grub.d/40_custom: 3: foo: not found", "/etc/grub.d/40_custom:3"),
    ],
)
def test_a_failing_generation_names_the_users_file(tmp_path: Path, said: str, where: str) -> None:
    write(tmp_path, OURS, f'{HEADER}GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"\n')
    with pytest.raises(CommandError) as error:
        ACTIVATION.activate(Recording(str(tmp_path), said))
    assert where in error.value.problem
    assert where in error.value.fix
    assert error.value.cause == said
    assert not (tmp_path / "run/caasctl/grub").exists()


def test_prove_looks_at_the_real_menu(tmp_path: Path) -> None:
    menu(tmp_path, "quiet")
    with pytest.raises(CaasError, match="update-grub") as error:
        ACTIVATION.prove(Recording(str(tmp_path)))
    assert "intel_iommu=on" in error.value.cause
    menu(tmp_path, " ".join(WANTED))
    ACTIVATION.prove(Recording(str(tmp_path)))
    assert ACTIVATION.way_back() == (("update-grub",),)


@pytest.mark.parametrize("member", [File(OURS, "x\n"), Gone(OURS)])
@pytest.mark.parametrize("now", [Absent(), Known("foreign\n", 0o644), Known(HEADER, 0o600), Unknown("closed")])
def test_the_target_of_a_target_is_itself(member: File, now: State) -> None:
    transaction = Transaction("grub", (member,), ACTIVATION)
    whole = now if isinstance(now, Unknown) else Known("owed", parts=((OURS, now),))
    for resource, state_ in ((member, now), (transaction, whole), (Cmdline(WANTED), now), (Grubby(WANTED), now)):
        assert resource.target(resource.target(state_)) == resource.target(state_)


def test_only_a_file_of_ours_goes(tmp_path: Path) -> None:
    host, gone = LiveHost(str(tmp_path)), Gone(OURS)
    write(tmp_path, OURS, "GRUB_TIMEOUT=1\n")
    gone.apply(host, gone.look(host))
    assert gone.target(gone.look(host)) == gone.look(host) == Known("GRUB_TIMEOUT=1\n", 0o644)
    write(tmp_path, OURS, HEADER)
    assert gone.undo(gone.look(host)).files == {OURS: (HEADER.encode(), 0o644)}
    gone.apply(host, gone.look(host))
    assert gone.look(host) == gone.target(Absent()) == Absent()


def test_the_running_command_line_needs_a_reboot(tmp_path: Path) -> None:
    host, resource = LiveHost(str(tmp_path)), Cmdline(WANTED)
    assert isinstance(resource.look(host), Unknown)
    write(tmp_path, "/proc/cmdline", "ro quiet intel_iommu=on\n")
    now = resource.look(host)
    assert now == Known("missing: cgroup_no_v1=all")
    assert resource.apply(host, now) == NeedsReboot("the running kernel was started without cgroup_no_v1=all")
    write(tmp_path, "/proc/cmdline", f"ro {' '.join(WANTED)} -- x\n")
    assert resource.look(host) == resource.target(now) == Known(IN_EFFECT)
    assert resource.apply(host, Known(IN_EFFECT)) == Done()
    assert resource.reboots


def test_grubby_gets_what_is_missing_and_the_way_back_takes_it_out(tmp_path: Path) -> None:
    host, resource = Recording(str(tmp_path)), Grubby(WANTED)
    assert isinstance(resource.look(host), Unknown)
    write(tmp_path, "/boot/loader/entries/a-5.14.conf", ENTRY.format("intel_iommu=on"))
    write(tmp_path, "/boot/loader/entries/a-0-rescue.conf", ENTRY.format(""))
    now = resource.look(host)
    assert now == Known("missing: cgroup_no_v1=all")
    assert resource.apply(host, now) == Done()
    assert host.ran == [("grubby", "--update-kernel=ALL", "--args=cgroup_no_v1=all")]
    assert resource.undo(now).commands == (("grubby", "--update-kernel=ALL", "--remove-args=cgroup_no_v1=all"),)
    write(tmp_path, "/boot/loader/entries/a-5.14.conf", ENTRY.format("$kernelopts"))
    write(tmp_path, "/boot/grub2/grubenv", f"kernelopts={' '.join(WANTED)}\n")
    assert resource.look(host) == Known(IN_EFFECT)
    assert resource.undo(Known(IN_EFFECT)).commands == ()
