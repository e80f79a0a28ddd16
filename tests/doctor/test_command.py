"""The command itself: what it looks at, its exit codes, and every format of one diagnosis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from tests.hosts.failures import FAILURES, NO_FAILURES, UNREACHABLE
from tests.hosts.sick import HEALTHY, Sick

TOP = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((TOP / "schemas/report.schema.json").read_text())
BARE = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(TOP / "src"), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
GLIBC = "kata-runtime: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by kata-runtime)\n"
FIRST_DAY = TOP / "tests/hosts/a10-hybrid-docker-containerd"


def doctor(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "caasctl", "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, env=BARE, check=False, input=stdin, cwd="/")


def told(*words: str, stdin: str | None = None) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(doctor(*words, "-o", "json", stdin=stdin).stdout)
    jsonschema.validate(data, SCHEMA)
    return data


@pytest.fixture(scope="module")
def sick(tmp_path_factory: pytest.TempPathFactory) -> str:
    node = Sick(tmp_path_factory.mktemp("sick"))
    FAILURES["containerd's cgroup driver lost"].happen(node)
    FAILURES["a GPU off the bus"].happen(node)
    return node.done()


def test_a_healthy_node_is_nothing_to_report() -> None:
    said = doctor("--facts", str(HEALTHY))
    assert (said.returncode, said.stderr) == (0, "")
    assert "Nothing was found. Exit code 0." in said.stdout
    found = told("--facts", str(HEALTHY))["diagnosis"]
    assert all(found[part] == [] for part in ("roots", "beside", "unexplained", "unknownLines", "notes", "over"))


def test_the_text_has_the_causes_first_and_one_next_step_last(sick: str) -> None:
    said = doctor("--facts", sick)
    lines = said.stdout.splitlines()
    assert said.returncode == 1
    assert lines.index(next(line for line in lines if line.startswith("ROOT CAUSE 1 of 2"))) < 5
    pasted = [at + 1 for at, line in enumerate(lines) if line.strip() == "fix:"]  # a command is never broken
    assert [line for at, line in enumerate(lines) if len(line) > 80 and at not in (0, *pasted)] == []
    assert lines[-1] == "Next:  caasctl init-node --dry-run --phase containerd"
    mine = doctor(
        "--facts", sick, "--set", "boot.hugepages.count=2", "--profile", "gpu-single-node"
    ).stdout.splitlines()
    assert mine[-1] == (
        "Next:  caasctl init-node --profile gpu-single-node --set boot.hugepages.count=2 --dry-run --phase containerd"
    )
    assert "2 root causes: containerd.systemd_cgroup, gpu.fell_off_bus. Exit code 1." in said.stdout
    assert "- and 5 more, with -v" in said.stdout
    assert "- and 5 more, with -v" not in doctor("--facts", sick, "-v").stdout


def test_every_format_says_the_same(sick: str) -> None:
    roots = [one["id"] for one in told("--facts", sick)["diagnosis"]["roots"]]
    suite = next(s for s in ET.fromstring(doctor("--facts", sick, "-o", "junit").stdout) if s.get("name") == "doctor")
    page = doctor("--facts", sick, "-o", "html").stdout
    assert roots == [case.get("name") for case in suite] == ["containerd.systemd_cgroup", "gpu.fell_off_bus"]
    assert suite.get("failures") == "2"
    assert [page.index(name) for name in roots] == sorted(page.index(name) for name in roots)
    assert "containerd.systemd_cgroup" in doctor("--facts", sick, "-o", "yaml").stdout


def test_a_consequence_names_what_brought_it_about_and_when(sick: str) -> None:
    (root, _) = told("--facts", sick)["diagnosis"]["roots"]
    follows = {one["id"]: one for one in root["follows"]}
    assert follows["kubernetes.etcd_refused"]["by"] == "kubernetes.etcd_killed"
    assert follows["kubernetes.sandbox_changed"]["times"] == 6
    assert follows["kubernetes.sandbox_changed"]["lastSeen"].startswith("2026-11-27T12:27")
    assert root["signs"] == len(follows) + 1


def test_pasted_output_alone_says_nothing_of_this_host() -> None:
    found = told("--log", "-", stdin=GLIBC)
    assert (found["host"], found["results"]) == ("wherever it was said", [])
    assert [one["id"] for one in found["diagnosis"]["roots"]] == ["kata.glibc_old"]
    assert found["summary"]["exitCode"] == 1


def test_pasted_output_and_a_host_explain_each_other(tmp_path: Path) -> None:
    log = tmp_path / "kata.log"
    log.write_text(GLIBC)
    (root, *_) = told("--log", str(log), "--facts", str(FIRST_DAY))["diagnosis"]["roots"]
    assert root["id"] in ("os.supported", "kata.glibc", "kata.glibc_old")
    assert f"{log} (1 line)" in told("--log", str(log), "--facts", str(FIRST_DAY))["diagnosis"]["lookedAt"]


def test_what_no_rule_knows_is_shown_as_it_was_said_and_is_no_cause() -> None:
    said = doctor("--log", "-", stdin="all is well\nfatal: the flux capacitor is corrupt\n")
    assert said.returncode == 6
    assert "fatal: the flux capacitor is corrupt" in said.stdout
    assert "ROOT CAUSE" not in said.stdout
    assert doctor("--log", "-", stdin="all is well\n").returncode == 0


def test_an_application_s_own_crash_is_not_the_node_s(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    for happen in NO_FAILURES.values():
        happen(node)
    found = told("--facts", node.done())
    assert (found["diagnosis"]["roots"], found["summary"]["exitCode"]) == ([], 0)


def test_since_leaves_out_what_was_said_before(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    node.living.say("kernel", "NVRM: Xid (PCI:0000:81:00): 79, GPU has fallen off the bus.", ago=7200)
    host = node.done()
    assert [one["id"] for one in told("--facts", host)["diagnosis"]["roots"]] == ["gpu.fell_off_bus"]
    assert told("--facts", host, "--since", "1h")["diagnosis"]["roots"] == []
    assert [one["id"] for one in told("--facts", host, "--since", "3h")["diagnosis"]["roots"]] == ["gpu.fell_off_bus"]


def test_what_would_be_ignored_or_says_nothing_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "empty.log"
    log.write_text("\n \n")
    nothing = doctor("--log", str(log))
    assert (nothing.returncode, "holds no text" in " ".join(nothing.stderr.split())) == (2, True)
    ignored = doctor("--log", "-", "--since", "1h", stdin="all is well\n")
    assert (ignored.returncode, "--since is about a host's journals" in ignored.stderr) == (2, True)


def test_a_host_that_never_was_a_node_has_nothing_that_broke() -> None:
    said = doctor("--facts", str(FIRST_DAY))
    assert "NOT YET AS A NODE NEEDS IT 1 of " in said.stdout
    assert "ROOT CAUSE" not in said.stdout
    assert "Nothing broke: this host is no node yet." in said.stdout


@pytest.mark.parametrize("span", ["3h", "2h30m", "999999d", "999999d999999d"])
def test_spans_may_be_of_several_parts_and_of_any_length(span: str, tmp_path: Path) -> None:
    node = Sick(tmp_path)
    node.living.say("kernel", "NVRM: Xid (PCI:0000:81:00): 79, GPU has fallen off the bus.", ago=7200)
    found = told("--facts", node.done(), "--since", span)["diagnosis"]
    assert [one["id"] for one in found["roots"]] == ["gpu.fell_off_bus"]


def test_the_last_lines_alone_say_what_is_wrong(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    FAILURES["swap after a reboot"].happen(node)
    last = " ".join(doctor("--facts", node.done()).stdout.splitlines()[-5:])
    assert "Root cause: os.swap: /dev/nvme0n1p3 (0 of 8191 MiB used). Exit code 1." in last


def test_a_fix_that_has_to_be_read_is_never_the_next_command(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    FAILURES["a claim without a class"].happen(node)
    assert doctor("--facts", node.done()).stdout.splitlines()[-1] == "Next:  caasctl explain kubernetes.storage_class"


def test_a_class_that_nobody_planned_is_not_sent_to_a_phase_that_would_change_nothing(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    FAILURES["a class without a handler"].happen(node)
    (root,) = told("--facts", node.done())["diagnosis"]["roots"]
    assert root["fix"]["text"].startswith("put kata-qemu-snp into spec.runtimes of the profile, then ")
    assert root["fix"]["kind"] == "edit"


def test_a_pod_of_another_namespace_is_said_to_be_there(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    FAILURES["an annotation of Kata's"].happen(node)
    (link,) = told("pod/vectoradd", "--facts", node.done())["diagnosis"]["chain"]
    assert link["found"] == "no pod vectoradd in namespace default: one of that name is in tenant-a"


def test_the_log_that_was_given_is_named_in_the_next_command(tmp_path: Path) -> None:
    log = tmp_path / "my log"
    log.write_text("fatal: the flux capacitor is corrupt\n")
    assert doctor("--log", str(log)).stdout.splitlines()[-1] == f"Next:  caasctl doctor --here --log '{log}'"


def test_where_little_could_be_looked_at_it_is_said_why() -> None:
    said = doctor("--facts", str(TOP / "tests/hosts/almost-nothing-readable"))
    assert said.returncode == 6
    assert "COULD NOT BE LOOKED AT\n  - /" in said.stdout
    assert "  - /sys/bus/pci/devices: permission denied: iommu." in said.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "soon"), "--since 'soon' is no span of time"),
        (("-n", "tenant-a"), "no pod is named"),
        (("--log", "/nowhere/log"), "/nowhere/log cannot be read"),
        (("--log", "/"), "/ cannot be read"),
        (("deploy/web",), "'deploy/web' names no pod"),
        (("--facts", "/nowhere"), "/nowhere cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_fix(words: tuple[str, ...], said: str) -> None:
    refused = doctor(*words)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "  fix    " in refused.stderr


def test_a_pod_is_followed_to_its_first_broken_link(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    FAILURES["an annotation of Kata's"].happen(node)
    found = told("pod/vectoradd", "-n", "tenant-a", "--facts", node.done())["diagnosis"]
    broken = [link for link in found["chain"] if link["broken"]]
    assert [link["name"] for link in broken] == ["sandbox created"]
    assert found["chain"][-1] == broken[0]
    assert found["roots"][0]["id"] == "kata.annotation_not_enabled"


def test_a_pod_that_is_well_has_a_whole_chain() -> None:
    found = told("train-0", "-n", "tenant-a", "--facts", str(HEALTHY))["diagnosis"]
    assert found["chain"]
    assert not any(link["broken"] for link in found["chain"])
    assert found["roots"] == []


def test_a_secret_in_a_log_is_never_shown() -> None:
    token = "abcdef.0123456789abcdef"
    said = doctor(
        "--log", "-", "-v", stdin=f"kubeadm join --token {token}\n{UNREACHABLE % 1} token={token}\nfatal: {token}\n"
    )
    assert token not in said.stdout + said.stderr


def test_a_hundred_megabytes_of_noise_are_no_matter(tmp_path: Path) -> None:
    """Bounded memory: the process may not take what the file has."""
    log = tmp_path / "big.log"
    line = 'E0812 19:59:{0:02}.{0:06} {0} x.go:548] "Error updating node status, will retry" err="nothing that is known {0:064x}"\n'
    block = "".join(line.format(number) for number in range(8000))
    with log.open("w") as file:
        for _ in range(100 * (1 << 20) // len(block) + 1):
            file.write(block)
        file.write(GLIBC)
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, (400 << 20, 400 << 20)); sys.argv[0] = 'caasctl'; runpy.run_module('caasctl', run_name='__main__')"
    command = [sys.executable, "-c", limited, "doctor", "--log", str(log), "-o", "json"]
    said = subprocess.run(command, capture_output=True, text=True, env=BARE, check=False, timeout=300)
    assert os.path.getsize(log) > 100 << 20
    assert [one["id"] for one in json.loads(said.stdout)["diagnosis"]["roots"]] == ["kata.glibc_old"], said.stderr[
        -500:
    ]


def test_what_caasctl_made_and_somebody_changed_is_named_with_the_way_to_see_how(tmp_path: Path) -> None:
    node = Sick(tmp_path)
    entry = {
        "schemaVersion": 3,
        "number": 1,
        "phase": "host",
        "resource": "file:/etc/crictl.yaml",
        "files": [],
        "commands": [],
        "nothing": "",
    }
    node.put("/var/lib/caasctl/runs/20261125T114500Z-1/0001.json", json.dumps(entry))
    sysctl = node.folder / "root/etc/sysctl.d/zz-caasctl.conf"
    assert told("--facts", node.done())["diagnosis"]["changed"] == []
    sysctl.write_text(sysctl.read_text() + "net.ipv4.ip_forward = 0\n")
    host = node.done()
    (changed,) = told("--facts", host)["diagnosis"]["changed"]
    assert (changed["id"], changed["title"]) == ("host", f"file:/etc/sysctl.d/{sysctl.name}")
    assert "`caasctl init-node --dry-run --phase host`" in doctor("--facts", host).stdout
