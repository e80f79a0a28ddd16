"""The text report: snapshots at 80 columns, every width, terminals, foreign encodings, hostile strings."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.report import samples
from tests.report.terminal import read_all

from caasctl.model import Exit, Fix, FixKind, Report, failed, passed
from caasctl.protocol import Absent, Change, Known, PhaseReport, PhaseStatus, Unknown
from caasctl.report import write
from caasctl.resources.files import File
from caasctl.resources.gpu import Binding

SNAPSHOTS = Path(__file__).parent / "snapshots"
TOP = Path(__file__).parents[2]
COMMAND = "apt-get update && apt-get install --no-install-recommends --yes runc=1.1.12-0ubuntu2~22.04.1 containerd"
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def text(report: Report, *, width: int | None = 80, verbose: bool = False) -> str:
    out = io.StringIO()
    write(report, "text", out, verbose=verbose, width=width)
    return out.getvalue()


def on_a_terminal(term: str, **environment: str) -> str:
    """The sample preflight as a process prints it on a pseudo-terminal."""
    main, side = pty.openpty()
    told = (
        "import sys; from tests.report import samples; from caasctl.report import write; "
        "write(samples.PREFLIGHT, 'text', sys.stdout)"
    )
    path = os.pathsep.join([str(TOP), *sys.path])
    ran = subprocess.Popen(
        [sys.executable, "-c", told], stdin=side, stdout=side, stderr=side,
        env={"TERM": term, "PYTHONPATH": path, "LC_ALL": "C.UTF-8", **environment},
    )  # fmt: skip
    os.close(side)
    said = read_all(main)
    assert ran.wait(timeout=20) == 0, said
    return said.replace("\r\n", "\n")


@pytest.mark.parametrize("name", [*samples.EVERY, "preflight-verbose", "plan-verbose"])
def test_text_at_80_columns_is_as_the_snapshot(name: str) -> None:
    """CAASCTL_UPDATE_SNAPSHOTS=1 writes them anew; look at the difference."""
    plain, _, verbose = name.partition("-")
    said = text(samples.EVERY[plain], verbose=bool(verbose))
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("CAASCTL_UPDATE_SNAPSHOTS"):
        path.write_text(said)
    assert said == path.read_text()


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("name", samples.EVERY)
def test_no_line_is_wider_than_the_terminal_but_a_command_or_a_word_alone(name: str, width: int) -> None:
    for line in text(samples.EVERY[name], width=width).splitlines():
        if len(line) <= width or COMMAND in line or line.startswith("Next:"):
            continue
        assert len(line[: line.rindex(" ")].rstrip()) <= width, f"more than one word too many: {line}"
        assert width == 40 or len(line.split()) == 1, f"a word that could stand alone: {line}"


def test_a_command_is_never_broken_and_stands_alone_on_its_line() -> None:
    for width in (40, 80, 200):
        lines = [line.strip() for line in text(samples.PREFLIGHT, width=width).splitlines()]
        assert lines.count(COMMAND) == 1


def test_a_quoted_command_in_a_sentence_is_not_broken_either() -> None:
    quoted = "`grubby --update-kernel=ALL --args='systemd.unified_cgroup_hierarchy=1 intel_iommu=on'`"
    fix = Fix(f"run {quoted} and reboot when the node is empty", FixKind.EDIT)
    finding = samples.named(failed("x", wanted="y", fix=fix, fixed_by=""), "boot.x", "A claim")
    assert quoted in [line.strip() for line in text(replace(samples.PREFLIGHT, findings=(finding,))).splitlines()]


def test_worst_is_last_and_one_next_command_ends_it() -> None:
    said = text(samples.PREFLIGHT)
    places = [said.index(f"\n{word}  ") for word in ("WAIV", "SKIP", "WARN", "UNKN", "FAIL")]
    assert places == sorted(places)
    assert said.count("Next:") == 1
    assert said.splitlines()[-1] == "Next:  caasctl preflight --profile gpu-single-node"


def test_what_only_the_user_mends_and_what_init_node_mends_are_two_lists() -> None:
    said = text(samples.PREFLIGHT)
    yours, ours = said.split("You must act")[-1].split("init-node will do")
    assert "1. gpu.bar_size (0000:17:00.0, 0000:31:00.0)" in yours
    assert "2. containerd.runc_installed" in yours
    assert "iommu.enabled" not in yours
    order = [ours.index(f"\n  {phase} ") for phase in ("host", "boot", "containerd")]
    assert order == sorted(order)
    assert "gpu.bar_size" not in ours


def test_verbose_opens_the_passes() -> None:
    assert "PASS  os.memory" not in text(samples.PREFLIGHT)
    assert "PASS  os.memory: 1024 GiB" in text(samples.PREFLIGHT, verbose=True)


def test_the_order_of_findings_does_not_matter() -> None:
    assert text(samples.PREFLIGHT) == text(replace(samples.PREFLIGHT, findings=samples.FINDINGS))


def test_a_plan_shows_diff_restart_reason_doubt_and_way_back() -> None:
    said = text(samples.PLAN)
    for part in (
        "2/3 boot        would change, needs a reboot", '-disabled_plugins = ["cri"]', "+disabled_plugins = []",
        "restart unit:containerd", "because file:/etc/containerd/config.toml changes",
        "may be  different when its turn comes: phase boot", "back    restore /etc/default/grub.d/zz-caasctl.cfg",
        "mode 0600 -> 0644", "not known: /etc/crictl.yaml: permission denied (needs root)", "Nothing was changed.",
        "Reboot        needed after phase boot",
    ):  # fmt: skip
        assert part in said


@pytest.mark.parametrize("fmt", ["text", "json", "yaml", "junit", "html"])
@pytest.mark.parametrize("name", samples.EVERY)
def test_no_format_says_a_secret(name: str, fmt: str) -> None:
    out = io.StringIO()
    write(samples.EVERY[name], fmt, out, verbose=True)
    assert out.getvalue()
    assert "abcdef.0123456789abcdef" not in out.getvalue()
    assert "old.secret" not in out.getvalue()


def test_what_follows_each_exit_code_can_be_pasted() -> None:
    last = {name: text(report).splitlines()[-1] for name, report in samples.EVERY.items()}
    assert last["plan"] == "Next:  caasctl init-node"
    assert last["blocked"] == "Next:  caasctl init-node --dry-run"
    assert last["converged"] == "Next:  caasctl preflight --strict"
    rebooting = replace(samples.RUN, exit_code=Exit.REBOOT)
    assert text(rebooting).splitlines()[-1] == "Next:  systemctl reboot"
    denied = replace(samples.PREFLIGHT, exit_code=Exit.UNDETERMINED)
    assert text(denied).splitlines()[-1] == "Next:  sudo caasctl preflight --profile gpu-single-node"
    ready = replace(samples.PREFLIGHT, exit_code=Exit.OK, command="preflight --strict --set 'spec.gpu={a: b}'")
    wanted = "Next:  caasctl init-node --profile gpu-single-node --set 'spec.gpu={a: b}' --dry-run"
    assert text(ready).splitlines()[-1] == wanted


def test_colour_only_adds_to_the_words() -> None:
    coloured = on_a_terminal("xterm-256color")
    assert ESCAPES.search(coloured)
    assert ESCAPES.sub("", coloured) == text(samples.PREFLIGHT)


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_color_and_dumb_terminals_get_plain_text(environment: dict[str, str]) -> None:
    assert on_a_terminal(environment.pop("TERM"), **environment) == text(samples.PREFLIGHT)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_foreign_letters_never_break_a_stream_of_another_encoding(encoding: str) -> None:
    finding = samples.named(passed("Zürich 東京 \udcff"), "os.x", "A claim")
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    write(replace(samples.PREFLIGHT, findings=(finding,)), "text", out, verbose=True)
    out.flush()
    said = raw.getvalue().decode(encoding)
    assert ("東京" in said) == (encoding == "utf-8")
    assert "\\udcff" in said


HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "a\rb",
    "\x9b2J",
    "\u202egnp.exe",
    "a\nb",
    "a\tb",
    "x" * 500,
    "東京" * 60,
    "",
    "\x00\x07\x08",
)


@pytest.mark.parametrize("said", HOSTILE)
@pytest.mark.parametrize("width", [40, 80])
def test_hostile_text_is_shown_and_not_obeyed(said: str, width: int) -> None:
    fix = Fix(said)
    finding = samples.named(failed(said, wanted=said, subject=said, cause=said, fix=fix, fixed_by=""), "os.x", said)
    file = replace(samples.CRICTL, text=f"{said}\n")
    change = samples.change("host", file, Absent())
    phase = replace(samples.FIRST, changes=(change,), findings=(finding,), message=said, title=said)
    for report in (samples.PREFLIGHT, replace(samples.PLAN, phases=(phase,))):
        shown = text(replace(report, findings=(finding,), host=said), width=width)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
        assert "Next:" in shown


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.integers(20, 250))
def test_any_text_at_any_width_is_printed(said: str, width: int) -> None:
    finding = samples.named(failed(said, wanted=said, fix=Fix(said)), "os.x", said)
    shown = text(replace(samples.PREFLIGHT, findings=(finding,), notes=(said,)), width=width)
    assert shown.isprintable() or not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown)


def test_what_stops_two_phases_is_told_at_length_once() -> None:
    stopping = samples.BLOCKED.phases[0]
    report = replace(samples.BLOCKED, findings=(), phases=(stopping, replace(stopping, id="boot")))
    said = text(report)
    assert said.count("FAIL  gpu.bar_size") == 1
    assert said.count("    fails   gpu.bar_size (0000:17:00.0, 0000:31:00.0): BAR 1 has 256 MiB\n") == 1


def test_of_a_new_file_as_long_as_a_program_a_plan_shows_the_head() -> None:
    script = File("/usr/local/lib/x.sh", "".join(f"line {number}\n" for number in range(1, 151)), 0o755)
    new = samples.change("host", script, Absent())
    long = replace(samples.PLAN, phases=(PhaseReport("host", "The host", PhaseStatus.PLANNED, changes=(new,)),))
    said = text(long)
    assert "+line 19\n" in said
    assert "line 20\n" not in said  # the first line says the mode
    assert "... and 131 lines more, which --verbose shows" in said
    assert "+line 150\n" in text(long, verbose=True)


def test_bindings_after_the_first_are_a_line_each_as_long_as_they_are_alike() -> None:
    def of(*addresses: str, known: bool = True) -> Change:
        now = Known("\n".join(f"{each} nvidia" for each in addresses)) if known else Unknown("in no group")
        binding = Binding("25", addresses, "/gpu.sh")
        return Change("gpu", binding, now, binding.target(now), provisional="" if known else "in no group")

    cards = [
        of("0000:17:00.0"),
        of("0000:31:00.0"),
        of("0000:b1:00.0", "0000:b1:00.1"),
        of("0000:ca:00.0", known=False),
    ]
    gpu = PhaseReport("gpu", "The GPUs", PhaseStatus.PLANNED, changes=tuple(cards))
    said = text(replace(samples.PLAN, phases=(gpu,)))
    assert "    change  vfio:0000:31:00.0: 0000:31:00.0 nvidia -> 0000:31:00.0 vfio-pci\n\n" in said
    assert said.count("      back ") == 3
    assert "now     not known: in no group" in said
    assert text(replace(samples.PLAN, phases=(gpu,)), verbose=True).count("      back ") == 4


def test_a_transaction_says_what_is_owed_beside_its_files() -> None:
    owed = replace(samples.TOGETHER, text="restart owed: config.toml is newer than pid 812", parts=())
    change = replace(samples.CONTAINERD_CHANGES[0], before=owed)
    said = text(replace(samples.PLAN, phases=(replace(samples.THIRD, changes=(change,)),)))
    assert "      effect  restart owed: config.toml is newer than pid 812 -> in effect\n" in said


def test_a_blocked_plan_promises_no_reboot_and_no_way_back() -> None:
    assert "Way back" in text(samples.PLAN)
    assert "Way back" not in text(samples.BLOCKED)


def test_a_run_that_failed_before_its_first_change_offers_no_undo() -> None:
    phases = tuple(replace(phase, changes=()) for phase in samples.RUN.phases)
    said = text(replace(samples.RUN, phases=phases))
    assert "takes back what was made" in text(samples.RUN)
    assert "No change was made before it." in said
    assert "takes back" not in said


def test_no_check_at_all_is_not_called_ready() -> None:
    said = text(replace(samples.PREFLIGHT, findings=(), exit_code=Exit.OK))
    assert "Ready" not in said
    assert "Nothing was checked: no check applies." in said


def test_a_recorded_host_is_never_answered_with_a_change_of_this_one() -> None:
    seen = replace(samples.PLAN, command="init-node --phase host --dry-run --facts host.tar.gz")
    assert text(seen).splitlines()[-1] == "Next:  caasctl init-node --phase host --dry-run"
    assert "This was gpu-160 as recorded" in text(seen)
    denied = replace(samples.PREFLIGHT, command="preflight --facts host.tar.gz", exit_code=Exit.UNDETERMINED)
    assert text(denied).splitlines()[-1] == "Next:  sudo caasctl facts --record host.tar.gz"


def test_options_of_one_command_are_not_given_to_another() -> None:
    done = replace(samples.CONVERGED, command="init-node --phase host --set spec.role=worker --yes")
    assert text(done).splitlines()[-1] == "Next:  caasctl preflight --set spec.role=worker --strict"
    failed_run = replace(samples.RUN, command="init-node --phase host --yes")
    assert text(failed_run).splitlines()[-1] == "Next:  caasctl init-node --phase host --yes"


def test_a_node_without_a_way_out_keeps_its_folder_from_command_to_command() -> None:
    air = "--profile node.yaml --airgap /srv/airgap"
    plan = replace(samples.PLAN, command=f"init-node {air} --dry-run")
    assert text(plan).splitlines()[-1] == f"Next:  caasctl init-node {air}"
    rebooting = text(replace(samples.RUN, command=f"init-node {air} --yes", exit_code=Exit.REBOOT))
    assert f"run the same command again: `caasctl init-node {air} --yes`" in " ".join(rebooting.split())
    looked = replace(samples.PREFLIGHT, command=f"preflight {air}")
    assert text(looked).splitlines()[-1] == f"Next:  caasctl preflight {air}"


def test_who_reboots_is_said_before_and_after() -> None:
    planned = text(replace(samples.PLAN, command="init-node --auto-reboot --dry-run"))
    assert "by itself (--auto-reboot)" in planned
    assert planned.splitlines()[-1] == "Next:  caasctl init-node --auto-reboot"
    by_hand = text(replace(samples.RUN, command="init-node --yes", exit_code=Exit.REBOOT))
    assert "Reboot, then run the same command again" in by_hand
    itself = text(replace(samples.RUN, command="init-node --auto-reboot --yes", exit_code=Exit.REBOOT))
    assert "The host reboots by itself, and goes on after it." in itself
    assert itself.splitlines()[-1] == "Next:  journalctl -u caasctl-resume.service"


def test_a_plan_that_waits_for_a_reboot_or_that_a_reboot_has_missed_is_not_called_converged() -> None:
    waits = PhaseReport("boot", "Arguments", PhaseStatus.REBOOT, message="not rebooted yet", needs_reboot=True)
    plan = replace(samples.PLAN, phases=(waits,), exit_code=Exit.REBOOT)
    assert "init-node waits for the reboot that phase boot needs. Nothing was changed." in text(plan)
    assert text(plan).splitlines()[-1] == "Next:  systemctl reboot"
    recorded = replace(plan, command="init-node --dry-run --facts x.tar.gz")
    assert text(recorded).splitlines()[-1] == "Next:  caasctl init-node --facts x.tar.gz --dry-run"
    missed = replace(waits, status=PhaseStatus.FAILED, message="did not come up", fix="look at it", needs_reboot=False)
    said = text(replace(plan, phases=(missed,), exit_code=Exit.FAILED_CHANGE))
    assert "init-node would stop in phase boot, see its note. Nothing was changed." in said
    assert "did not come up" in said
