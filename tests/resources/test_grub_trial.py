"""When a trial boot is due and what it leaves, on trees whose GRUB is a stand-in; the real tools are in tests/grub/test_trial.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.crashing import CrashingHost, Killed

from caasctl.host import LiveHost
from caasctl.model import HEADER, CaasError, CommandError, Unreadable
from caasctl.protocol import IN_EFFECT, Absent, Completed, Done, Known, NeedsReboot, State, Unknown
from caasctl.resources.files import File, Gone, Transaction
from caasctl.resources.grub import GrubActivation
from caasctl.resources.grub.trial_boot import ARMED, HOW, AfterTrial, TrialBoot
from caasctl.syntax.grub_menu import trial

OURS = "/etc/default/grub.d/zz-caasctl.cfg"
CONFIG, GRUBENV = "/boot/grub/grub.cfg", "/boot/grub/grubenv"
WANTED = ("intel_iommu=on", "nosmt")
TEXT = f'{HEADER}GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {" ".join(WANTED)}"\n'
BLOCK = "# GRUB Environment Block\n{}###\n"


class Grub(CrashingHost):
    """A tree with a stand-in for GRUB's tools: one Linux entry of the files' variable, then what /etc/grub.d/42_* prints.

    fails: a program that exits 1. breaks: what the menu gets in place of the trial.
    """

    def __init__(self, root: Path, at: int = -1, fails: str = "", breaks: str | None = None) -> None:
        super().__init__(str(root), at)
        self.fails, self.breaks = fails, breaks

    def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
        done = super().execute(*argv, timeout_s=timeout_s, direct=direct)
        if argv[0] == self.fails:
            raise CommandError(f"`{argv[0]}` failed", cause="as told", fix="mend it")
        if argv[0] == "update-grub":
            put(self, CONFIG, self._menu())
        elif argv[0] == "grub-mkconfig":
            put(self, argv[2], self._menu())
        elif argv[0] == "grub-reboot":
            put(self, GRUBENV, BLOCK.format(f"next_entry={argv[1]}\n"))
        elif argv[0] == "grub-editenv":
            put(self, GRUBENV, BLOCK.format(""))
        elif argv[0] != "sh":
            raise AssertionError(argv)
        return done

    def _menu(self) -> str:
        script = Path(self.root + trial.SCRIPT)
        said = (
            subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout if script.exists() else ""
        )
        more = (self.read(OURS) or "").rpartition("DEFAULT ")[2].rpartition('"')[0]
        return menu(f"quiet {more}".strip(), said if self.breaks is None else self.breaks)


def put(host: LiveHost, path: str, text: str) -> None:
    place = Path(host.root + path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def menu(arguments: str = "quiet", more: str = "", entry: str = "simple") -> str:
    ten = f"menuentry 'Debian' --id {entry} {{\n\tlinux\t/boot/vmlinuz ro {arguments}\n}}\n"
    return f"### BEGIN /etc/grub.d/10_linux ###\n{ten}### END /etc/grub.d/10_linux ###\n### BEGIN {trial.SCRIPT} ###\n{more}"


@pytest.fixture
def top(tmp_path: Path) -> Path:
    host = LiveHost(str(tmp_path))
    put(host, "/boot/vmlinuz", "")
    put(host, CONFIG, menu())
    put(host, GRUBENV, BLOCK.format(""))
    put(host, "/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    boots(host, "ro quiet")
    return tmp_path


def boots(host: LiveHost, arguments: str) -> None:
    put(host, "/proc/cmdline", f"{arguments}\n")


def resource(wanted: tuple[str, ...] = WANTED, obstacle: str = "") -> TrialBoot:
    text = TEXT.replace(" ".join(WANTED), " ".join(wanted))
    activation, drop_in = GrubActivation(wanted, OURS), File(OURS, text)
    return TrialBoot(
        Transaction("grub", (drop_in, Gone(trial.SCRIPT)), activation), drop_in, wanted, activation, obstacle
    )


def apply(host: LiveHost, tried: TrialBoot) -> bool:
    """Whether there was something to do."""
    now = tried.look(host)
    assert not isinstance(now, Unknown), now
    if now == tried.target(now):
        return False
    assert tried.apply(host, now) == Done()
    return True


def due(host: LiveHost, tried: TrialBoot) -> bool:
    now = tried.look(host)
    return isinstance(now, Known) and len(now.parts) == 2 and now.parts[0][0] == trial.SCRIPT


def kernel_guard(host: LiveHost) -> None:
    """The kernel that the script looks for is this machine's: in a tree it is looked for elsewhere."""
    script = Path(host.root + trial.SCRIPT)
    if script.exists():
        script.write_text(script.read_text().replace("'/boot/vmlinuz'", f"'{host.root}/boot/vmlinuz'"))


def test_a_trial_is_due_where_neither_the_kernel_nor_the_next_boots_have_the_arguments(top: Path) -> None:
    host = Grub(top)
    assert due(host, resource())
    assert not due(host, resource(obstacle="GRUB cannot write to /boot/grub, which lies on lvm"))
    boots(host, f"ro quiet {' '.join(WANTED)}")
    assert not due(host, resource()), "the running kernel has them"
    boots(host, "ro quiet")
    put(host, CONFIG, menu(f"quiet {' '.join(WANTED)} audit=0"))
    assert not due(host, resource()), "fewer than the menu has"
    put(host, CONFIG, menu())
    put(host, OURS, TEXT)
    assert not due(host, resource()), "a direct run was killed before it made the menu"


def test_what_cannot_be_read_is_unknown(top: Path) -> None:
    (top / "boot/grub/grub.cfg").unlink()
    (top / "boot/grub/grub.cfg").mkdir()
    assert isinstance(resource().look(Grub(top)), Unknown)
    put(Grub(top), "/boot/grub2/grub.cfg", menu())
    (top / "boot/grub/grub.cfg").rmdir()
    assert not due(Grub(top), resource()), "no menu yet: made with the arguments in it"
    put(Grub(top), CONFIG, menu())
    (top / "etc/grub.d/42_caasctl_trial").mkdir(parents=True)
    assert isinstance(resource().look(Grub(top)), Unknown)


STATES: list[State] = [
    Absent(),
    Unknown("closed"),
    Known(
        "not tried yet", parts=((trial.SCRIPT, Absent()), ("the default entry with the new arguments", Known(menu())))
    ),
    Known(
        ARMED,
        parts=((trial.SCRIPT, Known("foreign\n", 0o644)), ("the default entry with the new arguments", Known(menu()))),
    ),
    Known("owed", parts=((OURS, Absent()), (trial.SCRIPT, Known(HEADER, 0o755)))),
]


@pytest.mark.parametrize("now", STATES)
def test_the_target_of_a_target_is_itself(now: State) -> None:
    later = AfterTrial(resource())
    assert resource().target(resource().target(now)) == resource().target(now)
    for state in (now, Known(IN_EFFECT)):
        assert later.target(later.target(state)) == later.target(state)


def test_an_armed_trial_has_nothing_to_do_and_is_written_anew_for_other_arguments(top: Path) -> None:
    host = Grub(top)
    put(host, trial.SCRIPT, "")
    with pytest.raises(CaasError, match="the trial entry is not as it should be"):
        apply(host, resource())  # the kernel is not at /boot/vmlinuz of this machine: the script prints nothing
    assert host.read(trial.SCRIPT) == ""
    armed(host)
    assert not apply(host, resource())
    assert AfterTrial(resource()).look(host) == Absent()
    now = resource(("nosmt=force",)).look(host)
    assert isinstance(now, Known)
    assert now.text == "not tried yet"
    put(host, GRUBENV, BLOCK.format(""))
    again = resource().look(host)
    assert isinstance(again, Known)
    assert again.text == "not tried yet", "GRUB has taken it out: a trial that failed is armed again"


def test_a_trial_that_is_armed_again_is_of_the_entry_that_boots_by_default_now(top: Path) -> None:
    host = Grub(top)
    armed(host)
    was = host.read(CONFIG) or ""
    put(host, CONFIG, was.replace("ro quiet\n", "ro loglevel=3\n"))
    assert not apply(host, resource()), "armed for the entry of then"
    put(host, GRUBENV, BLOCK.format(""))
    now = resource().look(host)
    script = dict(resource().target(now).parts)[trial.SCRIPT]  # type: ignore[union-attr]
    assert isinstance(script, Known)
    assert "ro loglevel=3 intel_iommu=on nosmt\n" in script.text


def test_a_trial_entry_whose_script_is_gone_is_taken_out_of_the_menu(top: Path) -> None:
    host = Grub(top)
    armed(host)
    (top / "etc/grub.d/42_caasctl_trial").unlink()
    put(host, GRUBENV, BLOCK.format(""))
    put(host, OURS, TEXT)
    put(host, CONFIG, (host.read(CONFIG) or "").replace("ro quiet\n", f"ro quiet {' '.join(WANTED)}\n"))
    now = resource().permanent.look(host)
    assert isinstance(now, Known)
    assert now.text == "/boot/grub/grub.cfg still has the trial entry"
    assert apply(host, resource())
    assert host.read(CONFIG) == menu(f"quiet {' '.join(WANTED)}")


def armed(host: Grub) -> None:
    """As after a run of ours."""
    tried = resource()
    script = dict(tried.target(tried.look(host)).parts)[trial.SCRIPT]  # type: ignore[union-attr]
    assert isinstance(script, Known)
    host.write(trial.SCRIPT, script.text.encode(), 0o755)
    kernel_guard(host)
    Path(host.root + trial.SCRIPT).chmod(0o755)
    host.execute("update-grub")
    host.execute("grub-reboot", trial.ID)


def test_a_kernel_that_has_the_arguments_makes_them_permanent_and_the_trial_goes(top: Path) -> None:
    host = Grub(top)
    armed(host)
    boots(host, f"ro quiet {' '.join(WANTED)}")  # next_entry still there: chosen by hand in the menu
    assert AfterTrial(resource()).look(host) == Known(IN_EFFECT)
    assert apply(host, resource())
    assert (host.read(OURS), host.read(trial.SCRIPT)) == (TEXT, None)
    assert host.read(CONFIG) == menu(f"quiet {' '.join(WANTED)}")
    assert host.read(GRUBENV) == BLOCK.format("")
    assert not apply(host, resource())


def test_killed_while_it_becomes_permanent_it_is_finished_by_the_next_run(tmp_path: Path, top: Path) -> None:
    moments = 0
    for at in range(40):
        host = Grub(top, at)
        for path in (OURS, trial.SCRIPT):
            Path(host.root + path).unlink(missing_ok=True)
        boots(host, "ro quiet")
        put(host, CONFIG, menu())
        armed(Grub(top))
        boots(host, f"ro quiet {' '.join(WANTED)}")
        try:
            apply(host, resource())
        except Killed:
            moments += 1
        apply(Grub(top), resource())
        assert not apply(Grub(top), resource())
        assert host.read(CONFIG) == menu(f"quiet {' '.join(WANTED)}"), at
        assert (host.read(GRUBENV), host.read(trial.SCRIPT)) == (BLOCK.format(""), None), at
    assert moments >= 10


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"fails": "grub-mkconfig"}, "`grub-mkconfig` failed"),
        ({"fails": "update-grub", "breaks": "{entry}"}, "`update-grub` failed"),
        ({"fails": "grub-reboot", "breaks": "{entry}"}, "`grub-reboot` failed"),
        (
            {"breaks": "menuentry T --id caasctl-trial {\n linux /a nosmt\n}\n"},
            "the trial entry is not as it should be",
        ),
        ({"breaks": ""}, "the trial entry is not as it should be"),
    ],
)
def test_what_cannot_be_armed_leaves_everything_as_it_was(top: Path, host: dict[str, str], said: str) -> None:
    entry = f"menuentry T --id caasctl-trial {{\n linux /a {' '.join(WANTED)}\n}}\n"
    broken = Grub(top, **{key: value.replace("{entry}", entry) for key, value in host.items()})  # type: ignore[arg-type]
    tried = resource()
    with pytest.raises(CaasError, match=said) as error:
        tried.apply(broken, tried.look(broken))
    assert error.value.fix
    assert (broken.read(CONFIG), broken.read(GRUBENV), broken.read(trial.SCRIPT)) == (menu(), BLOCK.format(""), None)
    assert broken.read(OURS) is None
    assert not (top / "run/caasctl/grub").exists()


def test_a_menu_that_cannot_be_read_leaves_everything_as_it_was(top: Path) -> None:
    """As os-prober makes one of an old system whose name is Latin-1."""

    class Latin(Grub):
        def execute(self, *argv: str, timeout_s: float = 120.0, direct: tuple[str, ...] | None = None) -> Completed:
            done = super().execute(*argv, timeout_s=timeout_s, direct=direct)
            if argv[0] == "grub-mkconfig":
                Path(self.root + argv[2]).write_bytes(menu().encode() + b"menuentry 'Caf\xe9' {\n}\n")
            return done

    host, tried = Latin(top), resource()
    with pytest.raises(Unreadable, match="is not UTF-8"):
        tried.apply(host, tried.look(host))
    assert (host.read(CONFIG), host.read(GRUBENV), host.read(trial.SCRIPT)) == (menu(), BLOCK.format(""), None)


def test_what_somebody_else_armed_is_refused_before_anything_is_changed(top: Path) -> None:
    host = Grub(top)
    put(host, GRUBENV, BLOCK.format("next_entry=1>2\n"))
    with pytest.raises(CaasError, match="another menu entry is to be started once: 1>2"):
        apply(host, resource())
    assert (host.changes, host.commands) == (0, [])


def test_the_way_back_takes_the_trial_out_and_only_ours_is_disarmed(top: Path) -> None:
    host, tried = Grub(top), resource()
    undo = tried.undo(tried.look(host))
    assert undo.files == {trial.SCRIPT: None}
    disarm, update = undo.commands
    assert update == ("update-grub",)
    assert (
        "grep -qx -e next_entry=caasctl-trial -e next_entry=; then grub-editenv /boot/grub/grubenv unset next_entry"
        in disarm[2]
    )
    armed(host)
    boots(host, f"ro quiet {' '.join(WANTED)}")
    files = tried.undo(tried.look(host)).files
    assert files
    assert set(files) == {OURS, trial.SCRIPT}
    assert AfterTrial(tried).undo(Absent()).nothing


def test_old_arguments_of_ours_are_not_in_the_trial_and_the_users_stay(top: Path) -> None:
    host = Grub(top)
    put(host, OURS, TEXT.replace("nosmt", "audit=0"))
    put(host, CONFIG, menu("quiet audit=0 intel_iommu=on audit=0"))
    entry = resource().entry(host)
    assert "ro quiet audit=0 intel_iommu=on nosmt\n" in entry, "of two, the last is ours"
    put(host, OURS, 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    assert "ro quiet audit=0 intel_iommu=on audit=0 nosmt\n" in resource().entry(host), (
        "a file that is not ours took nothing in"
    )


def test_what_is_said_of_it(top: Path) -> None:
    host, tried = Grub(top), resource()
    now = tried.look(host)
    assert tried.told(now) == HOW
    assert HOW in tried.promise(now)
    cannot = resource(obstacle="GRUB cannot write to /boot/grub, which lies on lvm")
    now = cannot.look(host)
    assert "none, new kernel arguments are permanent at once: GRUB cannot write" in cannot.promise(now)
    assert cannot.promise(now) in cannot.told(now)
    armed(host)
    outcome = AfterTrial(tried).apply(host, Absent())
    assert isinstance(outcome, NeedsReboot)
    assert outcome.why.startswith("the menu entry caasctl-trial tries intel_iommu=on nosmt at the next boot, once")
    boots(host, f"ro quiet {' '.join(WANTED)}")
    assert tried.told(tried.look(host)).startswith("the running kernel has them: permanent now")
    assert tried.promise(tried.look(host)) == ""
