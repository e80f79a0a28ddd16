"""Plans of upgrades for a recorded node and for others made of it: the way, its commands, and every reason to refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caasctl import upgrading
from caasctl.commands import Session
from caasctl.facts.cgroup import CgroupLayout
from caasctl.model import Exit, Facts, Level, RefusedError, UsageError
from caasctl.needs.upgrade import packages, path, refusals, state, table
from caasctl.needs.upgrade.state import Now
from caasctl.upgrading import Plan, UnreadError

NODE = Path(__file__).parents[1] / "hosts/already-a-node"
DPKG = "/var/lib/dpkg/status"
CONTAINERD = ("Package: containerd\n", "Package: containerd.io\n")
CONTAINERD_2 = {DPKG: [CONTAINERD, ("1.7.24", "2.3.4")]}
Edits = Mapping[str, list[tuple[str, str]]]
EditNodes = Callable[[list[dict[str, Any]]], None]
EditPods = Callable[[list[dict[str, Any]]], None]


def host(folder: Path, edits: Edits | None = None, said: Mapping[str, str] | None = None, nodes: EditNodes | None = None,
         pods: EditPods | None = None) -> str:  # fmt: skip
    """The recorded node with other texts in its files, and another cluster. said: texts of what kubectl says about its configuration."""
    copy = folder / "host"
    shutil.copytree(NODE, copy, symlinks=True)
    for name, changes in (edits or {}).items():
        file = copy / f"root{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text() if file.exists() else ""
        for old, new in changes:
            assert old in text, (name, old)
            text = text.replace(old, new) if old else new
        file.write_text(text)
    commands = json.loads((copy / "commands.json").read_text())
    for one in commands:
        words = " ".join(one["argv"])
        if "kubeadm-config" in words:
            for old, new in (said or {}).items():
                assert old in one["stdout"]
                one["stdout"] = one["stdout"].replace(old, new)
        for kind, edit in (("get nodes,daemonsets", nodes), ("get pods -A", pods)):
            if kind in words and edit:
                listed = json.loads(one["stdout"])
                edit(listed["items"])
                one["stdout"] = json.dumps(listed)
    (copy / "commands.json").write_text(json.dumps(commands))
    return str(copy)


def older(version: str) -> dict[str, list[tuple[str, str]]]:
    """Edits that make the node one of that version."""
    manifests = [
        f"/etc/kubernetes/manifests/kube-{name}.yaml" for name in ("apiserver", "controller-manager", "scheduler")
    ]
    return {
        DPKG: [("1.36.4", version), CONTAINERD, ("1.7.24", "2.3.4")],
        **{path: [("1.36.4", version)] for path in manifests},
    }


def kubelets(version: str) -> EditNodes:
    def edit(items: list[dict[str, Any]]) -> None:
        items[0]["status"]["nodeInfo"]["kubeletVersion"] = f"v{version}"

    return edit


def plan(bundle: str, to: str) -> Plan:
    return upgrading.plan(Session("single-node", None, bundle), upgrading.target(to))


def failing(found: Plan) -> set[str]:
    return {one.id for one in found.report.findings if one.level is Level.FAIL}


def refused(found: Plan, name: str, *words: str) -> None:
    assert found.report.exit_code is Exit.FAILED_CHECK
    assert found.steps == ()
    (one, *_) = [one for one in found.report.findings if one.id == name and one.level is Level.FAIL]
    told = f"{one.found} {one.wanted} {one.cause} {one.subject} {one.fix.text if one.fix else ''}"
    assert all(word in told for word in words), told


def commands(found: Plan) -> str:
    return "\n".join(command for step in found.steps for command in step.commands)


def test_one_minor_is_kubeadm_then_the_control_plane_then_the_kubelet_on_a_drained_node(tmp_path: Path) -> None:
    found = plan(host(tmp_path, CONTAINERD_2), "v1.37.x")
    assert found.report.exit_code is Exit.OK
    assert found.target == table.NEWEST[1, 37]
    order = ["etcdctl", "core:/stable:/v1.37/", "kubeadm=1.37.1-*", "kubeadm upgrade apply v1.37.1", "drain gpu-08 --ignore-daemonsets",
             "kubelet=1.37.1-*", "systemctl restart kubelet", "uncordon gpu-08", "get nodes"]  # fmt: skip
    places = [commands(found).index(word) for word in order]
    assert places == sorted(places)
    assert "apt-mark hold kubeadm" in commands(found)
    assert any("etcd (3.6.11-0 now)" in step.title and "CoreDNS" in step.title for step in found.steps)


def test_two_minors_stop_at_the_one_between(tmp_path: Path) -> None:
    found = plan(host(tmp_path, older("1.35.4"), nodes=kubelets("1.35.4")), "1.37.0")
    applied = [line for line in commands(found).splitlines() if line.startswith("kubeadm upgrade apply")]
    assert applied == ["kubeadm upgrade apply v1.36.5", "kubeadm upgrade apply v1.37.0"]
    assert commands(found).index("kubelet=1.36.5") < commands(found).index("kubeadm=1.37.0")


def test_a_minor_whose_patch_is_not_known_is_the_repository_s_newest(tmp_path: Path) -> None:
    found = plan(host(tmp_path, older("1.33.4"), nodes=kubelets("1.33.4")), "1.35.9")
    assert "'kubeadm=1.34.*'" in commands(found)
    assert "kubeadm upgrade apply $(kubeadm version -o short)" in commands(found)


def test_a_patch_stays_in_its_minor_and_the_version_that_is_there_needs_nothing(tmp_path: Path) -> None:
    bundle = host(tmp_path, CONTAINERD_2)
    assert "kubeadm upgrade apply v1.36.5" in commands(plan(bundle, "1.36.5"))
    assert plan(bundle, "1.36.4").steps == ()
    assert plan(bundle, "1.36.4").report.exit_code is Exit.OK


@pytest.mark.parametrize(
    ("to", "word"), [("1.35.9", "no way back"), ("1.36.3", "no way back"), ("1.38.0", "1.37 at most")]
)
def test_a_downgrade_and_a_version_that_nobody_knows_are_refused(tmp_path: Path, to: str, word: str) -> None:
    refused(plan(host(tmp_path, CONTAINERD_2), to), "upgrade.target", word)


def test_an_older_version_is_answered_with_a_newer_one_and_never_with_a_snapshot_to_restore(tmp_path: Path) -> None:
    found = plan(host(tmp_path, CONTAINERD_2), "1.35.9")
    refused(found, "upgrade.target", "--to v1.36.5", "loses all that came after")
    assert all("restore" not in one.fix.text for one in found.report.findings if one.fix)


def test_a_patch_newer_than_the_table_is_said_and_planned(tmp_path: Path) -> None:
    found = plan(host(tmp_path, CONTAINERD_2), "1.36.99")
    (one,) = [one for one in found.report.findings if one.id == "upgrade.target" and one.level is Level.WARN]
    assert one.found == "1.36.99 is not known to this caasctl"
    assert found.steps


@pytest.mark.parametrize(
    "to",
    [
        "",
        "x",
        "1",
        "v1.x",
        "1.37.1.2",
        "latest",
        "v1.37.1-rc.0",
        "v1.٣٧.1",
        "v1.²",
        "v01.37.1",
        "v1.037.1",
        "v1.37.99999999999999999999",
        "v1.37.1\n2",
    ],
)
def test_what_is_no_version_is_a_usage_error(to: str) -> None:
    with pytest.raises(UsageError):
        upgrading.target(to)


def test_programs_that_are_files_are_of_the_machine_s_own_kind_and_go_where_they_run() -> None:
    now = Now(True, "1.36.4", "1.36.4", "1.36.4", "1.36.4", "2.3.4", "", node="n", architecture="arm64",
              paths={"kubeadm": "/usr/local/bin/kubeadm", "kubelet": "/opt/bin/kubelet"})  # fmt: skip
    told = "\n".join(command for step in path.steps(now, "1.37.1") for command in step.commands)
    assert "https://dl.k8s.io/release/v1.37.1/bin/linux/arm64/kubeadm " in told
    assert "install -m 0755 kubeadm /usr/local/bin/kubeadm" in told
    assert "install -m 0755 kubelet /opt/bin/kubelet" in told
    assert "amd64" not in told
    assert not list(packages.refusals(now, Facts(), path.hops(now, "1.37.1")))


def test_a_file_s_address_has_its_patch() -> None:
    now = Now(True, "1.33.4", "1.33.4", "1.33.4", "1.33.4", "2.3.4", "", node="n")
    (one,) = packages.refusals(now, Facts(), path.hops(now, "1.35.9"))
    assert one.level is Level.FAIL
    assert one.subject == "1.34"


APT = "/etc/apt/sources.list.d"


def sources(folder: Path, name: str, text: str) -> str:
    return host(folder, {**CONTAINERD_2, f"{APT}/{name}": [("", text)]})


def test_a_node_of_an_air_gap_takes_packages_from_a_folder_that_is_packed_again(tmp_path: Path) -> None:
    bundle = sources(tmp_path, "caasctl-airgap.sources", "Types: deb\nURIs: file:///srv/airgap/packages\nSuites: ./\n")
    found = plan(bundle, "1.36.5")
    told = commands(found)
    assert "caasctl airgap pack --out /srv/airgap-1.36.5 --profile PROFILE --set kubernetes.version=v1.36.5" in told
    assert "mv /srv/airgap-1.36.5 /srv/airgap\n" in told
    assert "--phase containerd --airgap /srv/airgap " in told
    assert "core:/stable" not in told
    assert "kubeadm=1.36.5-*" in told


def test_a_mirror_s_own_address_is_named_and_must_show_the_version(tmp_path: Path) -> None:
    text = "Types: deb\nURIs: https://apt.corp.example/kube/\nSuites: ./\n"
    bundle = sources(tmp_path, "caasctl-kubernetes.sources", text)
    assert "apt-cache madison kubeadm | grep -F ' 1.36.5'" in commands(plan(bundle, "1.36.5"))
    assert "core:/stable" not in commands(plan(bundle, "1.36.5"))
    session = Session("single-node", ["packages.kubernetes.uri=https://apt.corp.example/kube-1.37"], bundle)
    told = commands(upgrading.plan(session, "1.37.1"))
    assert (
        f"sed -i 's#https://apt.corp.example/kube#https://apt.corp.example/kube-1.37#' {APT}/caasctl-kubernetes.sources"
        in told
    )


def test_a_mirror_with_the_project_s_paths_is_edited_as_the_project_s_own(tmp_path: Path) -> None:
    bundle = sources(tmp_path, "k.list", "deb https://apt.corp.example/core:/stable:/v1.36/deb/ /\n")
    assert "xargs -r sed" in commands(plan(bundle, "1.37.1"))


@pytest.mark.parametrize(
    "text",
    ["deb http://deb.debian.org/debian trixie main\n", "deb https://apt.kubernetes.io/ kubernetes-xenial main\n"],
)
def test_a_node_whose_apt_has_no_kubernetes_is_refused(tmp_path: Path, text: str) -> None:
    refused(
        plan(sources(tmp_path, "debian.list", text), "1.36.5"),
        "upgrade.packages",
        "airgap pack",
        "v1.36.5",
        "from nowhere",
    )


def test_a_folder_is_packed_for_one_patch(tmp_path: Path) -> None:
    edits = {
        **older("1.33.4"),
        f"{APT}/caasctl-airgap.list": [("", "deb [trusted=yes] file:/srv/airgap/packages ./\n")],
    }
    found = plan(host(tmp_path, edits, nodes=kubelets("1.33.4")), "1.35.9")
    refused(found, "upgrade.packages", "newest patch of 1.34", "--to v1.34.PATCH")


def test_containerd_1_is_a_step_where_a_package_has_2_and_a_warning_where_none_has(tmp_path: Path) -> None:
    docker = host(tmp_path / "docker", {DPKG: [CONTAINERD]})
    found = plan(docker, "1.37.1")
    assert "containerd.io=2.3.*" in commands(found)
    assert (
        commands(found).index("drain gpu-08")
        < commands(found).index("containerd.io=2.3.*")
        < commands(found).index("kubelet=1.37.1")
    )
    debian = plan(host(tmp_path / "debian"), "1.37.1")
    (one,) = [one for one in debian.report.findings if one.id == "upgrade.containerd"]
    assert one.level is Level.WARN
    assert one.fix is not None
    assert "SHA-256" in one.fix.text
    assert debian.steps


def test_each_init_node_on_the_way_is_of_the_profile_and_settings_that_were_given(tmp_path: Path) -> None:
    """Those of another profile would take away what this node has: its proxy, its runtimes, Cilium's values."""
    bundle = host(tmp_path, {DPKG: [CONTAINERD]})
    file = Path(bundle) / "commands.json"
    file.write_text(file.read_text().replace("cilium:v1.20.5", "cilium:v1.18.3"))
    session = Session("gpu-single-node", ["cilium.chart=/srv/cilium.tgz"], bundle)
    found = upgrading.plan(session, "1.37.1")
    ours = path.steps(replace(found.now, cilium_release="cilium"), found.target)  # helm's, not cilium-cli's
    given = [line for step in ours for line in step.commands if line.startswith("caasctl ")]
    assert {line.split()[1] for line in given} == {"init-node", "preflight"}
    assert len(given) >= 3  # Cilium's, containerd's, and the look afterwards
    assert all(f" {session.settings} " in line for line in given), given


@pytest.mark.parametrize(("to", "level"), [("1.35.9", Level.PASS), ("1.37.1", Level.WARN), ("1.38.0", Level.FAIL)])
def test_containerd_1_is_refused_from_the_version_whose_kubelet_refuses_it(to: str, level: Level) -> None:
    now = Now(True, "1.34.4", "1.34.4", "1.34.4", "1.34.4", "1.7.24", "", containerd_package="containerd")
    assert dict(refusals.of(Facts(), now, to))["upgrade.containerd"].level is level


def test_cilium_goes_a_minor_at_a_time_before_kubernetes(tmp_path: Path) -> None:
    bundle = host(tmp_path, CONTAINERD_2)
    file = Path(bundle) / "commands.json"
    file.write_text(file.read_text().replace("cilium:v1.20.5", "cilium:v1.18.3"))
    found = plan(bundle, "1.37.1")
    went = [step.title for step in found.steps if step.title.startswith("Cilium")]
    assert went == ["Cilium 1.18.14", "Cilium 1.19.11", "Cilium 1.20.5"]
    assert commands(found).index("cilium.version=1.20.5") < commands(found).index("kubeadm=1.37.1")
    assert "preflight.enabled=true" in commands(found)


@pytest.mark.parametrize(("runs", "level"), [("1.20.5", Level.PASS), ("1.19.11", Level.WARN)])
def test_the_newest_cilium_is_no_matter_and_one_of_which_nothing_is_known_is_said(runs: str, level: Level) -> None:
    now = Now(True, "1.36.4", "1.36.4", "1.36.4", "1.36.4", "2.3.4", runs)
    found = dict(refusals.of(Facts(), now, "1.37.1"))["upgrade.cilium"]
    assert found.level is level
    assert found.fix is None or "v1.19/network/kubernetes/compatibility/" in found.fix.text


def test_a_kernel_that_is_too_old_for_that_cilium_is_refused(tmp_path: Path) -> None:
    kernel = (NODE / "root/proc/sys/kernel/osrelease").read_text()
    edits = {**CONTAINERD_2, "/proc/sys/kernel/osrelease": [(kernel, "5.4.0-42-generic\n")]}
    refused(plan(host(tmp_path, edits), "1.37.1"), "upgrade.kernel", "5.4.0-42-generic", "5.10")


def test_a_node_that_is_not_ready_stops_it(tmp_path: Path) -> None:
    def edit(items: list[dict[str, Any]]) -> None:
        for one in items[0]["status"]["conditions"]:
            one["status"] = "False" if one["type"] == "Ready" else one["status"]

    refused(plan(host(tmp_path, CONTAINERD_2, nodes=edit), "1.37.1"), "upgrade.nodes_ready", "gpu-08", "Ready")


def test_a_kubelet_that_is_too_old_or_too_new_is_named_with_its_node(tmp_path: Path) -> None:
    def with_worker(version: str) -> EditNodes:
        def edit(items: list[dict[str, Any]]) -> None:
            worker = json.loads(json.dumps(items[0]))
            worker["metadata"]["name"], worker["status"]["nodeInfo"]["kubeletVersion"] = "worker-1", version
            items.append(worker)

        return edit

    refused(
        plan(host(tmp_path / "old", CONTAINERD_2, nodes=with_worker("v1.33.2")), "1.37.1"),
        "upgrade.kubelets",
        "worker-1",
        "1.34",
    )
    refused(
        plan(host(tmp_path / "new", CONTAINERD_2, nodes=with_worker("v1.37.0")), "1.37.1"),
        "upgrade.kubelets",
        "worker-1",
        "1.36",
    )


def planes(**versions: str) -> EditPods:
    def edit(items: list[dict[str, Any]]) -> None:
        for name, version in versions.items():
            items.append({"kind": "Pod", "metadata": {"namespace": "kube-system", "name": f"kube-apiserver-{name}"}, "status": {"phase": "Running"},
                          "spec": {"nodeName": name, "containers": [{"name": "kube-apiserver", "image": f"registry.k8s.io/kube-apiserver:v{version}"}]}})  # fmt: skip

    return edit


def test_control_planes_stay_together(tmp_path: Path) -> None:
    behind = host(tmp_path / "behind", CONTAINERD_2, pods=planes(cp2="1.35.9"))
    refused(plan(behind, "1.37.1"), "upgrade.order", "cp2", "older than 1.36")
    ahead = host(tmp_path / "ahead", CONTAINERD_2, pods=planes(cp2="1.37.1"))
    found = plan(ahead, "1.37.1")
    assert "kubeadm upgrade node" in commands(found)
    assert "kubeadm upgrade apply" not in commands(found)


def test_a_kubeadm_that_jumps_is_refused(tmp_path: Path) -> None:
    status = (NODE / f"root{DPKG}").read_text()
    (stanza,) = [part for part in status.split("\n\n") if part.startswith("Package: kubeadm\n")]
    edits = {DPKG: [(stanza, stanza.replace("1.36.4-1.1", "1.38.0-1.1")), *CONTAINERD_2[DPKG]]}
    refused(plan(host(tmp_path, edits), "1.37.1"), "upgrade.order", "kubeadm 1.38.0", "does not jump")


def without(manifest: dict[str, Any], path: str) -> dict[str, Any]:
    """What is recorded of a path that is there no more."""
    for part in manifest.values():
        for key in [key for key in part if key.endswith(f" {path}")] if isinstance(part, dict) else ():
            del part[key]
    return manifest


def worker(folder: Path, version: str, edits: Edits = CONTAINERD_2) -> str:
    """A node without a control plane or an administrator; what the API server says of itself to its kubelet, "" for nothing."""
    bundle = host(folder, edits)
    shutil.rmtree(Path(bundle) / "root/etc/kubernetes/manifests")
    (Path(bundle) / "root/etc/kubernetes/admin.conf").unlink()
    manifest = Path(bundle) / "manifest.json"
    known = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(without(known, "/etc/kubernetes/admin.conf")))
    file = Path(bundle) / "commands.json"
    recorded = json.loads(file.read_text())
    conf = ("kubectl", "--kubeconfig", "/etc/kubernetes/kubelet.conf", "--request-timeout=6s", "get")
    listed = next(json.loads(one["stdout"]) for one in recorded if "nodes,daemonsets" in " ".join(one["argv"]))
    answers: dict[tuple[str, ...], str] = {("nodes", "gpu-08", "--ignore-not-found", "-o", "json"): json.dumps(listed["items"][0]),
               ("runtimeclasses,services", "-A", "-o", "json"): '{"items": []}',
               ("--raw", "/version"): json.dumps({"gitVersion": f"v{version}"} if version else {})}  # fmt: skip
    recorded += [{"argv": [*conf, *words], "rc": 0, "stdout": text, "stderr": ""} for words, text in answers.items()]
    file.write_text(json.dumps(recorded))
    return bundle


def test_a_worker_goes_after_the_control_planes(tmp_path: Path) -> None:
    refused(plan(worker(tmp_path / "early", "1.36.4"), "1.37.1"), "upgrade.order", "all control planes first")
    found = plan(worker(tmp_path / "in turn", "1.37.1"), "1.37.1")
    assert found.report.exit_code is Exit.OK, found.report.findings
    told = commands(found)
    assert "kubeadm upgrade node" in told
    assert "kubeadm upgrade apply" not in told
    assert "etcdctl" not in told
    assert [step.where for step in found.steps if "drain" in " ".join(step.commands)] == ["a control plane"]


def test_a_worker_goes_through_each_minor_too_and_its_containerd_goes_with_the_one_that_wants_it(
    tmp_path: Path,
) -> None:
    edits = {DPKG: [("1.36.4", "1.34.4"), CONTAINERD]}
    told = commands(plan(worker(tmp_path, "1.37.1", edits), "1.37.1"))
    order = [
        "'kubeadm=1.35.9-*'",
        "'kubelet=1.35.9-*'",
        "'kubeadm=1.36.5-*'",
        "containerd.io=2.3.*",
        "'kubelet=1.36.5-*'",
        "'kubeadm=1.37.1-*'",
    ]
    places = [told.index(word) for word in order]
    assert places == sorted(places)
    assert told.count("kubeadm upgrade node") == 3


def test_a_worker_that_cannot_see_the_control_plane_is_not_planned(tmp_path: Path) -> None:
    found = plan(worker(tmp_path, ""), "1.37.1")
    assert found.report.exit_code is Exit.UNDETERMINED
    assert found.steps == ()


def test_flags_gates_and_documents_that_were_removed_are_named_with_their_file(tmp_path: Path) -> None:
    flags = host(
        tmp_path / "flags", {**CONTAINERD_2, "/etc/default/kubelet": [("", 'KUBELET_EXTRA_ARGS="--boot-id-file=/x"\n')]}
    )
    refused(plan(flags, "1.37.1"), "upgrade.removed", "--boot-id-file in /etc/default/kubelet")
    assert "upgrade.removed" not in failing(plan(flags, "1.36.5"))
    gate = host(
        tmp_path / "gate",
        CONTAINERD_2,
        {"kind: ClusterConfiguration": "kind: ClusterConfiguration\nfeatureGates: {PublicKeysECDSA: true}"},
    )
    refused(plan(gate, "1.37.1"), "upgrade.removed", "PublicKeysECDSA")
    beta3 = host(tmp_path / "beta3", CONTAINERD_2, {"v1beta4": "v1beta3"})
    refused(plan(beta3, "1.37.1"), "upgrade.removed", "v1beta3", "kubeadm-config")


def test_hybrid_cgroups_are_refused_from_the_version_whose_kubelet_refuses_them() -> None:
    facts = Facts([CgroupLayout("hybrid", ())])
    now = Now(True, "1.36.4", "1.36.4", "1.36.4", "1.36.4", "2.3.4", "1.20.5", node="n", cluster={})
    found = dict(refusals.of(facts, now, "1.37.1"))
    assert found["upgrade.cgroup"].level is Level.FAIL
    assert "upgrade.cgroup" not in dict(refusals.of(facts, now, "1.34.1"))


def test_what_nobody_could_look_at_is_unknown_and_no_pass() -> None:
    found = dict(refusals.of(Facts(), Now(True, "1.36.4", "1.36.4", "1.36.4", "1.36.4", "", ""), "1.37.1"))
    assert {name for name, one in found.items() if one.level is Level.UNKNOWN} == {
        "upgrade.nodes_ready",
        "upgrade.containerd",
        "upgrade.removed",
    }


@pytest.mark.parametrize(("to", "advised"), [("v1.38.0", "v1.37.1"), ("v1.36.99", "v1.37.1"), ("v1.36.4", "v1.36.4")])
def test_a_host_that_is_no_node_is_refused_and_only_a_known_version_advised(to: str, advised: str) -> None:
    with pytest.raises(RefusedError, match="in no cluster") as raised:
        plan(str(NODE.parent / "debian12-plain-vm"), to)
    assert f"kubernetes.version={advised}`" in raised.value.fix


def test_what_is_advised_is_for_the_same_profile(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as raised:
        upgrading.plan(Session("gpu-single-node", ("role=worker",), str(NODE.parent / "debian12-plain-vm")), "1.37.1")
    assert (
        "`caasctl init-node --profile gpu-single-node --set role=worker --set kubernetes.version=v1.37.1`"
        in raised.value.fix
    )
    there = host(tmp_path, CONTAINERD_2)
    of_node = upgrading.plan(Session("single-node", ("role=control-plane",), there), "1.37.1")
    commands = [command for step in of_node.steps for command in step.commands]
    assert "caasctl preflight --set role=control-plane --set kubernetes.version=v1.37.1" in commands


def test_a_node_that_cannot_be_looked_at_is_not_determined() -> None:
    with pytest.raises(UnreadError) as raised:
        plan(str(NODE.parent / "almost-nothing-readable"), "1.37.1")
    assert raised.value.exit_code is Exit.UNDETERMINED


def test_a_node_of_another_distribution_is_sent_to_that_one_s_own_upgrade() -> None:
    with pytest.raises(RefusedError, match="k3s") as raised:
        plan(str(NODE.parent / "debian12-many-owners"), "1.38.0")
    assert "https://docs.k3s.io/upgrades" in raised.value.fix
    assert "init-node" not in raised.value.fix


def test_one_that_runs_has_the_node_though_a_kubelet_conf_is_there(tmp_path: Path) -> None:
    snap: Edits = {**CONTAINERD_2, "/var/lib/snapd/snaps/k8s_4096.snap": [("", "squashfs")]}
    assert plan(host(tmp_path / "rest", snap), "1.37.1").steps
    runs = "/sys/fs/cgroup/system.slice/snap.k8s.kubelet.service/cgroup.procs"
    with pytest.raises(RefusedError, match="Canonical Kubernetes's") as raised:
        plan(host(tmp_path / "running", {**snap, runs: [("", "812")]}), "1.37.1")
    assert "its services run" in raised.value.cause


@pytest.mark.parametrize(
    ("text", "numbers"), [("v1.36.4", (1, 36, 4)), ("1.37", (1, 37)), ("x", ()), ("1.37.1-rc.0", (1, 37, 1))]
)
def test_numbers_of_a_version(text: str, numbers: tuple[int, ...]) -> None:
    assert state.numbers(text) == numbers
