"""Runs inside the namespace of node.sh: drives the real phase on a real containerd and prints what came of it as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.containerd import cases
from tests.lab import cri as cri_client
from tests.standins.registry import Registry, image

from caasctl import engine, planning
from caasctl.airgap.archive import archive
from caasctl.airgap.registry import Source, find
from caasctl.checks.containerd_registries import hosts_files, mirrors
from caasctl.facts import (
    containerd,
    containerd_config,
    containerd_live,
    containerd_registries,
    containerd_writers,
    kata,
)
from caasctl.formats import parse_toml
from caasctl.host import LiveHost
from caasctl.model import CaasError, Facts, findings
from caasctl.phases.containerd import PHASE
from caasctl.profile import ContainerdSpec, ImageFile, Kubernetes, Metadata, NodeProfile, Spec
from caasctl.profile_packages import RegistrySpec
from caasctl.protocol import Impossible
from caasctl.resources.images import Images
from caasctl.syntax import image_name
from caasctl.syntax.containerd.tables import cri

PROFILE = NodeProfile("caasctl.io/v1alpha1", "NodeProfile", Metadata("test"), Spec(Kubernetes("v1.36.4")))
PROBES = tuple(
    probe
    for topic in (containerd, containerd_config, containerd_live, containerd_registries, containerd_writers, kata)
    for probe in topic.PROBES
)
HOST = LiveHost()


def facts() -> Facts:
    return engine.collect(HOST, PROBES)


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def calls() -> list[str]:
    try:
        return Path("/run/standin/calls").read_text().splitlines()
    except FileNotFoundError:
        return []


def write(files: dict[str, str]) -> None:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)


def apply(profile: NodeProfile = PROFILE) -> list[str]:
    """One run of the phase without the engine's bookkeeping: names of what was changed."""
    changed = []
    for resource in PHASE.desired(facts(), profile):
        now = resource.look(HOST)
        if resource.target(now) != now:
            outcome = resource.apply(HOST, now)
            assert not isinstance(outcome, Impossible), outcome
            changed.append(resource.name)
    return changed


def due(profile: NodeProfile = PROFILE) -> list[str]:
    """What a next run would change, and why."""
    changes = planning.differ(HOST, PHASE, PHASE.desired(facts(), profile))
    return [f"{change.resource.name}: {getattr(change.before, 'text', change.before)}" for change in changes]


def state() -> dict[str, Any]:
    """The node as it is: plugins, dump, files."""
    dump = run("containerd", "config", "dump")
    found = cri(parse_toml(dump.stdout, "dump")) if dump.returncode == 0 else None
    rows = [row.split() for row in run("ctr", "plugins", "ls").stdout.splitlines()]
    return {
        "cri": sorted({row[-1] for row in rows if len(row) > 3 and ("cri" in row[1] or ".cri." in row[0])}),
        "runtimes": {name: dict(table) for name, table in found.runtimes.items()} if found else {},
        "default": found.default_runtime if found else "",
        "pause": found.sandbox_image if found else "",
        "cdi": found.cdi if found else None,
        "registry": dict(found.registry) if found else {},
        "files": {str(path): path.read_text() for path in sorted(Path("/etc/containerd").rglob("*.toml"))},
        "crictl": Path("/etc/crictl.yaml").read_text() if Path("/etc/crictl.yaml").exists() else "",
        "restarts": calls().count("restart containerd.service"),
    }


def converge(case: str) -> dict[str, Any]:
    """From a case's files: a run, what is then due, a run, and the desired resources before and after."""
    write(cases.files(case))
    before = list(PHASE.desired(facts(), PROFILE))
    first = apply()
    return {
        "first": first, "due": due(), "second": apply(), "same": before == list(PHASE.desired(facts(), PROFILE)), **state(),
    }  # fmt: skip


def refused(case: str) -> dict[str, Any]:
    """A configuration that works, then one that cannot: the error, and the node after it."""
    write(cases.files("user"))
    apply()
    write(cases.files(case))
    files = state()["files"]
    try:
        apply()
    except CaasError as error:
        said = {"problem": error.problem, "cause": error.cause, "fix": error.fix}
        return {**said, **state(), "as_before": state()["files"] == files}
    return {"problem": "", **state()}


def rolled_back(case: str) -> dict[str, Any]:
    """A working containerd, then one that fails after its restart: by its CRI (`cri-fails`), or at start (the stand-in's doing)."""
    write(cases.files(case))
    run("systemctl", "restart", "containerd.service")
    before = state()
    if case != "cri-fails":
        write({"/run/standin/fail-once": "containerd: failed to create TTRPC listener: address already in use\n"})
    try:
        apply()
    except CaasError as error:
        said = {"problem": error.problem, "cause": error.cause, "fix": error.fix, **state()}
        return {**said, "as_before": said["files"] == before["files"], "running": run("ctr", "version").returncode == 0}
    return {"problem": "", **state()}


def killed(_case: str) -> dict[str, Any]:
    """Files written, then the run dies before the restart: the next run must restart and only that."""
    write(cases.files("user"))
    run("systemctl", "restart", "containerd.service")
    first = apply()
    resources = [r for r in PHASE.desired(facts(), PROFILE) if r.name == "containerd"]
    stamped = due()
    os.unlink("/run/caasctl/containerd.json")
    by_time = due()
    main = Path("/etc/containerd/config.toml")
    main.write_text(main.read_text() + "\n# changed\n")
    owed = due()
    again = [r.name for r in resources if r.target(r.look(HOST)) != r.look(HOST) and r.apply(HOST, r.look(HOST))]
    return {
        "first": first,
        "stamped": stamped,
        "by_time": by_time,
        "owed": owed,
        "again": again,
        "after": due(),
        **state(),
    }


def mirrored(case: str) -> dict[str, Any]:
    """Pulls images of registries whose names do not resolve, through the mirrors of the profile; then a run without a change."""
    write(cases.files(case))
    os.environ.clear()  # a proxy of this machine is none of the node's
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    with Registry({"tiny:1": image("one"), "behind/tiny:2": image("two")}) as registry:
        named = {"images.invalid": RegistrySpec((f"{registry.url}",)), "whole.invalid:5000": RegistrySpec((f"{registry.url}/v2/behind",), "", True),
                 "_default": RegistrySpec((f"{registry.url}/v2/",))}  # fmt: skip
        profile = replace(PROFILE, spec=replace(PROFILE.spec, containerd=ContainerdSpec(registries=named)))
        first, pulled = apply(profile), {}
        for name in ("images.invalid/tiny:1", "whole.invalid:5000/tiny:2", "elsewhere.invalid/tiny:1"):
            cri_client.pull(name)
            pulled[name] = name in run("ctr", "-n", "k8s.io", "images", "ls", "-q").stdout.split()
        asked = list(registry.requests)
    found = [finding.found for one in (hosts_files, mirrors) for finding in findings(one, facts(), profile)]
    return {"first": first, "due": due(profile), "pulled": pulled, "asked": asked, "found": found, **state(),
            "hosts": {str(path): path.read_text() for path in sorted(Path("/etc/containerd/certs.d").rglob("hosts.toml"))}}  # fmt: skip


def imported(_case: str) -> dict[str, Any]:
    """Images of an air gap's folder: one by tag and digest, one that is there already; a run that dies between the two; back."""
    apply()
    folder = Path("/opt/airgap")
    one, two = image("one"), image("two")
    files = []
    os.environ.clear()
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    with Registry({"one:1": one, "two:2": two}) as registry:
        for name in (f"r.invalid/one:1@{one.top}", "r.invalid/two:2"):
            parsed = image_name.parse(name)
            assert parsed
            found = find(parsed, "amd64", (Source(f"{registry.url}/v2"),))
            LiveHost(str(folder)).store(f"/{parsed.file_name}", archive(found), 0o644)
            files.append(ImageFile(f"{folder}/{parsed.file_name}", parsed.names))
    images = Images(tuple(files), "/run/containerd/containerd.sock")
    before = images.look(HOST)
    Images(tuple(files[:1]), images.socket).apply(HOST, before)  # a run that died after the first
    half = images.look(HOST)
    images.apply(HOST, half)
    whole = images.look(HOST)
    labels = run("ctr", "-n", "k8s.io", "images", "ls").stdout
    unpinned = _unpinned(images)
    (back,) = images.undo(half).commands
    undone = run(*back).returncode
    Path(files[1].path).write_bytes(Path(files[1].path).read_bytes()[:3000])
    try:
        images.apply(HOST, images.look(HOST))
        spoilt = ""
    except CaasError as error:
        spoilt = error.problem
    return {"before": getattr(before, "text", None), "half": getattr(half, "text", None), "due": whole != images.target(whole),
            "pinned": labels.count("pinned=pinned"), "names": run("ctr", "-n", "k8s.io", "images", "ls", "-q").stdout.split(),
            "undone": undone, "spoilt": spoilt, **unpinned}  # fmt: skip


def _unpinned(images: Images) -> dict[str, Any]:
    """What a run that died between import and pin leaves, or somebody's own import: pinned by the next, and unpinned by its undo."""
    name = images.images[0].names[0]
    run("ctr", "-n", "k8s.io", "images", "label", name, "io.cri-containerd.pinned=")
    loose = images.look(HOST)
    images.apply(HOST, loose)
    pinned = images.look(HOST)
    undone = [run(*argv).returncode for argv in images.undo(loose).commands]
    again = images.look(HOST)
    images.apply(HOST, again)
    return {
        "loose": getattr(loose, "text", None),
        "repaired": pinned == images.target(loose),
        "unpinned": undone,
        "same": again == loose,
    }


SCENARIOS = {
    "converge": converge,
    "refused": refused,
    "rolled_back": rolled_back,
    "killed": killed,
    "mirrored": mirrored,
    "imported": imported,
}

if __name__ == "__main__":
    json.dump(SCENARIOS[sys.argv[1]](sys.argv[2]), sys.stdout)
