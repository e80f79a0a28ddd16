"""Which kind a file is of, what is no file for doctor, and that no text makes it crash or take long."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lab.given import diagnosed

from caasctl import doctor, formats
from caasctl.checks import FILE_CHECKS
from caasctl.commands import Session
from caasctl.doctor import files
from caasctl.doctor.rules import shipped_rules
from caasctl.doctoring import Asked, examine
from caasctl.formats import FormatError, documents
from caasctl.host.overlay import Overlay
from caasctl.model import Exit, Fix, UsageError, failed

KINDS = {
    "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n": "kubeadm configuration",
    "kind: KubeletConfiguration\n": "kubeadm configuration",
    "apiVersion: kubeproxy.config.k8s.io/v1alpha1\n": "kubeadm configuration",
    "version = 2\n": "containerd configuration",
    'disabled_plugins = ["cri"]\n': "containerd configuration",
    "[plugins]\n": "containerd configuration",
    "[hypervisor.qemu]\n": "Kata configuration",
    '{"cdiVersion": "0.5.0"}': "CDI specification",
    "cdiVersion: 0.5.0\n": "CDI specification",
    "kind: Pod\n": "Kubernetes objects",
    "kind: List\nitems: [{kind: DaemonSet}]\n": "Kubernetes objects",
    '{"kind": "RuntimeClass"}': "Kubernetes objects",
    "kind: Config\n": "kubeconfig",
    "GRUB_CMDLINE_LINUX=quiet\n": "GRUB defaults",
    "kubeProxyReplacement: true\n": "values for Cilium's chart",
}


@pytest.mark.parametrize(("text", "word"), KINDS.items(), ids=range(len(KINDS)))
def test_a_file_is_known_by_what_is_in_it(text: str, word: str) -> None:
    assert files.recognised("x", text).kind == word


@pytest.mark.parametrize(
    "text", ["a: 1\n", "hello world\n", "[]", "- 1\n", "[owner]\nname = 1\n", "a: [\n", "Aug 12 kubelet[1]: x\n"]
)
def test_a_file_of_no_kind_is_refused_with_the_kinds_that_there_are(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        files.recognised("x", text)
    assert "CDI specification" in raised.value.cause
    assert "--log" in raised.value.fix


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, data in {
        "empty": b"",
        "mark": b"\xef\xbb\xbf",
        "latin": b"kind: Pod # \xe9\n",
        "binary": b"kind: Pod\0",
    }.items():
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(100 << 20)
    (tmp_path / "large").write_bytes(b"kind: Pod\n" + b"#" * (5 << 20))
    for name in ("pipe", "empty", "mark", "latin", "binary", "huge", "large", ".", "absent"):
        with pytest.raises(UsageError) as raised:
            files.read(str(tmp_path / name))
        assert raised.value.cause, name
        assert raised.value.fix, name


def aliases(levels: int) -> str:
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "kind: Pod\na0: &a0 [1, 1]\n" + "\n".join(lines) + "\n"


def merges(levels: int) -> str:
    lines = [f"m{n}: &m{n}\n  <<: [{', '.join([f'*m{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "kind: Pod\nm0: &m0 {x: 1}\n" + "\n".join(lines) + "\n"


HOSTILE = {
    "aliases": aliases(12),
    "merges": merges(12),
    "brackets": "kind: Pod\nx: " + "[" * 500_000,
    "braces": '{"cdiVersion": ' + '{"a": ' * 100_000,
    "indentation": "kind: Pod\n" + "\n".join(" " * n + "a:" for n in range(1, 1500)),
    "keys": "kind: Pod\n" + "\n".join(f"k{n}: 1" for n in range(200_000)),
    "documents": "kind: Pod\n---\n" * 50_000,
    "tables": "version = 2\n[plugins]\n" + "\n".join(f"[a{n}]" for n in range(100_000)),
    "dots": "version = 2\n" + ".".join(["a"] * 2_000_000) + " = 1\n",
    "nested JSON": '{"cdiVersion": ' + '{"a": ' * 500 + "1" + "}" * 501,
    "a long line": "GRUB_CMDLINE_LINUX=" + "a" * 3_000_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_judged_or_refused_soon(text: str) -> None:
    start = time.monotonic()
    with suppress(UsageError):
        diagnosed(text)
    assert time.monotonic() - start < 20


def test_aliases_count_for_what_they_stand_for() -> None:
    assert documents.of_yaml(aliases(5), "x")
    with pytest.raises(FormatError, match="aliases"):
        documents.of_yaml(aliases(7), "x")


def test_what_a_user_points_at_comes_before_what_else_is_wrong() -> None:
    host, named = (failed("x", wanted="y", fix=Fix("z")) for _ in range(2))
    found = (replace(host, id="containerd.cri_enabled"), replace(named, id="kata.file_ports"))
    for pointed, first in (
        (frozenset({"kata.file_ports"}), "kata.file_ports"),
        (frozenset[str](), "containerd.cri_enabled"),
    ):
        case = doctor.Case(found, established=True, named=pointed)
        assert doctor.diagnose(case, shipped_rules()).roots[0].sign.id == first


def test_a_file_that_is_broken_in_its_third_document_says_the_line() -> None:
    text = "kind: Pod\n---\nkind: Pod\n---\nkind: Pod\nspec: {\n"
    found = diagnosed(text).roots[0].sign
    assert found.id == "os.file_parses"
    assert "line 7" in found.finding.found or "line 6" in found.finding.found


def test_lines_are_those_of_the_whole_file() -> None:
    text = "a: 1\n---\n# x\nb:\n  - c: 1\n    d: [1, 2]\n"
    one, two = documents.of_yaml(text, "x")
    assert (one.line("a"), two.line("b", 0, "d", 1), two.line("b", 0, "no"), two.line("nowhere")) == (1, 6, 5, 4)
    toml = documents.of_toml('v = 1\n\n[a."b.c".d]\n  k = 1\n[[e]]\nx.y = 2\n', "x")[0]
    assert [toml.line(*path) for path in (("v",), ("a", "b.c", "d", "k"), ("a",), ("e", "x", "y"))] == [1, 4, 3, 6]


YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = ("kind", "apiVersion", "spec", "containers", "metadata", "annotations", "networking", "podSubnet", "serviceSubnet", "items",
         "plugins", "version", "imports", "hypervisor", "qemu", "runtime", "devices", "cdiVersion", "clusters", "current-context",
         "bootstrapTokens", "nodeRegistration", "discovery", "controllerManager", "extraArgs", "template", "volumes", "handler",
         "kubeProxyReplacement", "io.containerd.grpc.v1.cri", "containerd", "runtimes", "resources", "limits")  # fmt: skip
KNOWN = ({"kind": "Pod"}, {"kind": "ClusterConfiguration"}, {"kind": "JoinConfiguration"}, {"kind": "RuntimeClass"}, {"kind": "Config"},
         {"kind": "CronJob"}, {"kind": "KubeletConfiguration"}, {"cdiVersion": "0.5.0"}, {"hubble": 1}, {"version": 2}, {"hypervisor": {"clh": 1}})  # fmt: skip
DATA = st.dictionaries(
    st.sampled_from(WORDS),
    st.recursive(
        YAML, lambda inner: st.dictionaries(st.sampled_from(WORDS), inner, max_size=3) | st.lists(inner, max_size=2)
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(DATA, st.sampled_from(KNOWN))
def test_no_data_of_a_kind_makes_a_check_break(data: dict[str, Any], known: dict[str, Any]) -> None:
    try:
        found = diagnosed(json.dumps({**data, **known}))
    except UsageError:  # a kind that is a table
        return
    assert not [one for one in found.undetermined if "bug" in one.found]


@settings(max_examples=60, deadline=None)
@given(DATA, st.sampled_from(KNOWN[-2:]))
def test_no_toml_makes_a_check_break(data: dict[str, Any], known: dict[str, Any]) -> None:
    with suppress(UsageError):
        found = diagnosed(formats.dump_toml(_writable({**data, **known})))
        assert not [one for one in found.undetermined if "bug" in one.found]


def _writable(value: Any) -> Any:
    """What TOML has: no null, and text without control characters."""
    if isinstance(value, dict):
        return {key: _writable(one) for key, one in value.items() if key.isalnum() or key in WORDS}
    if isinstance(value, list):
        return [str(one) for one in value if isinstance(one, int)]
    return value if isinstance(value, (bool, int)) else "text"


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=200)
    | st.sampled_from(tuple(KINDS)).flatmap(lambda head: st.text(max_size=60).map(lambda tail: head + tail))
)
def test_no_text_makes_it_crash(text: str) -> None:
    try:
        found = diagnosed(text)
    except UsageError:
        return
    assert not [one for one in found.undetermined if "bug" in one.found]


@settings(max_examples=200, deadline=None)
@given(YAML)
def test_every_line_that_is_told_is_one_of_the_text(data: Any) -> None:
    text = formats.dump_yaml({"top": data})
    try:
        found = documents.of_yaml(text, "x")
    except FormatError:
        return
    count = text.count("\n") + 1
    assert all(1 <= line <= count for document in found for line in document.lines.values())


def test_a_file_alone_says_nothing_of_this_host(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('disabled_plugins = ["cri"]\n')
    session = Session("single-node", ())
    report = examine(session, Asked(files=(str(tmp_path / "x.toml"),), host=False))
    assert report.host == str(tmp_path / "x.toml")
    assert report.diagnosis.looked_at == (f"{tmp_path}/x.toml (containerd configuration)",)
    assert report.exit_code == 1
    assert {one.topic for one in report.findings} <= {"os", "containerd", "kata"}


def test_a_file_takes_the_place_of_the_host_s_own(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]\n  SystemdCgroup = false\n'
    )
    host = str(Path(__file__).resolve().parents[1] / "hosts" / "epyc-debian13-bare")
    report = examine(Session("single-node", (), host), Asked(files=(str(path),)))
    first = report.diagnosis.roots[0].sign.finding
    assert first.id == "containerd.systemd_cgroup"
    assert first.evidence[0].source == f"{path}:3"
    without = examine(Session("single-node", (), host), Asked())
    assert not any(one.id.partition(".")[2].startswith("file_") for one in without.findings)


def test_a_host_below_a_file_is_asked_for_everything_else(tmp_path: Path) -> None:
    under = Overlay({"/etc/a": "host's", "/etc/b": "host's"}, answers={("x",): "said"})
    over = Overlay({"/etc/a": "file's", "/etc/new/c": "file's"}, under, silent=("ctr",))
    assert (over.read("/etc/a"), over.read("/etc/b"), over.read("/etc/none")) == ("file's", "host's", None)
    assert over.list("/etc") == ("a", "b", "new")
    assert over.query("x").stdout == "said"
    assert over.query("y").missing


def test_checks_of_files_say_that_they_are_and_yield_nothing_without_files() -> None:
    from caasctl.model import Facts
    from caasctl.profile_load import load

    for check in FILE_CHECKS:
        assert check.id.partition(".")[2].startswith("file_")
        assert list(check.run(Facts(), load())) == []


def test_what_stands_on_the_line_of_dashes_or_above_them_is_read() -> None:
    text = "%YAML 1.2\n--- # the first\nkind: Pod\n--- {kind: Service}\n---\r\nkind: Job\r\n"
    read = documents.of_yaml(text, "x")
    assert [(one.data["kind"], one.line("kind")) for one in read] == [("Pod", 3), ("Service", 4), ("Job", 6)]


def test_many_documents_behind_millions_of_lines_are_refused_soon() -> None:
    with pytest.raises(FormatError, match="too many lines"):
        documents.of_yaml("\n" * 3_000_000 + "---\nkind: Pod\n" * 290, "x")


@pytest.mark.parametrize("odd", ["- [1]", "- {}", "5", "text", "[null]", "{1: 2}"])
@pytest.mark.parametrize(
    "known",
    ["version: 2\nplugins: {io.containerd.grpc.v1.cri: {}}", "kubeProxyReplacement: true",
     "cdiVersion: 0.5.0\nkind: a/b", "kind: Pod\nspec: {containers: [{resources: {requests: {1: 2}}}]}"],
)  # fmt: skip
def test_an_odd_document_beside_a_known_one_makes_no_check_break(known: str, odd: str, tmp_path: Path) -> None:
    for at, text in enumerate((f"{known}\n---\n{odd}\n", f"{odd}\n---\n{known}\n")):
        (tmp_path / f"{at}.yaml").write_text(text)
        report = examine(Session("single-node", None), Asked(files=(str(tmp_path / f"{at}.yaml"),), host=False))
        assert report.exit_code is not Exit.BUG
