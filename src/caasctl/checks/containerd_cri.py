"""What the CRI is told: systemd cgroups, handlers, default runtime, pause image, shims."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.containerd import ContainerdVersion
from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective, Shims
from caasctl.facts.containerd_live import CriInfo
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.cilium import cni_of
from caasctl.needs.containerd import NEWEST_KNOWN, wanted
from caasctl.profile import AUTO, NodeProfile
from caasctl.syntax.containerd.imports import replaced, seen_cri, set_by
from caasctl.syntax.containerd.judge import contradictions
from caasctl.syntax.containerd.tables import Cri, Data, is_runc, places, strings, systemd_cgroup

_AFTER = ("containerd.installed", "containerd.config_parses")
_PAUSE = "registry.k8s.io/pause:"
_DEFAULT_PAUSE = {
    (1, 6): f"{_PAUSE}3.6",
    (1, 7): f"{_PAUSE}3.8",
    (2, 0): f"{_PAUSE}3.10",
    (2, 1): f"{_PAUSE}3.10",
    (2, 2): f"{_PAUSE}3.10.1",
    (2, 3): f"{_PAUSE}3.10.2",
}
_INIT = Fix("caasctl init-node")


def _effective(facts: Facts) -> Cri | None:
    """The CRI's configuration in effect; None where containerd does not take its files (another check says so)."""
    effective = facts[ContainerdEffective]
    if effective.error:
        return None
    return seen_cri(effective.data, facts[ContainerdConfig].files, facts[ContainerdVersion].version)


@check(
    "containerd.systemd_cgroup",
    "runc places pods through systemd",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why="With SystemdCgroup = false (every release's default) pods land in /sys/fs/cgroup/system.slice beside the kubelet's slices; "
    "minutes or hours later: `Pod sandbox changed, it will be killed and re-created`.",
    fix="SystemdCgroup = true in runc's options, checked with `containerd config dump`.",
    source="https://kubernetes.io/docs/setup/production-environment/container-runtimes/#containerd-systemd",
    fixed_by="containerd",
    after=_AFTER,
)
def systemd_cgroups(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """SystemdCgroup of the handler runc in the merged configuration."""
    found = _effective(facts)
    if found is None:
        return
    runc, why = found.runtimes.get("runc", {}), _why_lost(facts)
    if "runc" not in found.runtimes:
        why = why or "containerd 1.x drops its built-in runc as soon as a file names any other runtime."
        yield failed("no handler runc", wanted="runc with SystemdCgroup = true", fix=_INIT, cause=why)
    elif systemd_cgroup(runc):
        yield passed("SystemdCgroup = true")
    else:
        yield failed("SystemdCgroup = false", wanted="SystemdCgroup = true", fix=_INIT, cause=why)


def _why_lost(facts: Facts) -> str:
    """Where a file does say true and it does not count, the reason is the finding."""
    config, version = facts[ContainerdConfig], facts[ContainerdVersion].version
    told = [file for file in config.files if "SystemdCgroup" in (file.text or "") and not file.error]
    if not told:
        return ""
    losses = [loss.by for loss in replaced(config.files) if version < (2, 0, 0)]
    if losses:
        return f"{told[0].path} sets it, but {losses[0]} replaces the whole table (containerd 1.x)."
    if not any(file.names_version for file in told):
        return f"{told[0].path} sets it, but has no `version`: containerd takes it for schema 1 and ignores the table."
    return ""


@check(
    "containerd.handlers",
    "The runtime handlers of the profile are configured",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why='Pods of the RuntimeClass stop with `no runtime for "kata-qemu" is configured`.',
    fix="A table per handler in the CRI's runtimes.",
    source="https://github.com/containerd/containerd/blob/main/docs/cri/config.md",
    fixed_by="containerd",
    after=_AFTER,
)
def handlers(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Runtimes in the merged configuration, and those that the running containerd names (crictl info)."""
    found = _effective(facts)
    if found is None:
        return
    names = wanted(facts, profile).names
    missing = [name for name in names if not found.runtimes.get(name, {}).get("runtime_type")]
    live = facts.get(CriInfo)
    unloaded = [name for name in names if live and live.status and name not in live.status.runtimes]
    foreign = sorted(set(found.runtimes) - set(names))
    if missing:
        yield failed(f"{', '.join(missing)} missing", wanted=", ".join(names), fix=_INIT)
    elif unloaded:
        yield failed(f"{', '.join(unloaded)} configured, but not in the running containerd", wanted=", ".join(names), fix=_INIT,
                     cause="The files changed after containerd was started; it reads them only then.",
                     evidence=(Evidence("crictl info", "runtimes: " + ", ".join(sorted(live.status.runtimes if live and live.status else ()))),))  # fmt: skip
    else:
        yield passed(", ".join(names) + (f" (and {', '.join(foreign)})" if foreign else ""))


@check(
    "containerd.default_runtime",
    "Pods without a RuntimeClass run on the profile's default runtime",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why="The control plane's static pods have no RuntimeClass: on a Kata default they run in virtual machines, or not at all.",
    fix="default_runtime_name as in spec.containerd.defaultRuntime, with a table of that name.",
    source="https://github.com/containerd/containerd/blob/main/docs/cri/config.md",
    fixed_by="containerd",
    after=_AFTER,
)
def default_runtime(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """default_runtime_name in the merged configuration."""
    found, want = _effective(facts), profile.spec.containerd.defaultRuntime
    if found is None:
        return
    if found.default_runtime != want:
        yield failed(found.default_runtime or "none", wanted=want, fix=_INIT)
    elif want not in found.runtimes:
        yield failed(f"{want}, which has no table", wanted=f"{want} with a table", fix=_INIT,
                     cause="The CRI plugin does not start: no corresponding runtime configured in `containerd.runtimes`.")  # fmt: skip
    else:
        yield passed(want)


@check(
    "containerd.sandbox_image",
    "The pause image is the one of this Kubernetes",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why='kubeadm warns `detected that the sandbox image "..." of the container runtime is inconsistent`; the kubelet keeps its own pause '
    "image from garbage collection, not the runtime's other one.",
    fix="The image that `kubeadm config images list` names.",
    source="kubeadm preflight, ImagePullCheck; kubernetes build/dependencies.yaml",
    fixed_by="containerd",
    after=_AFTER,
)
def sandbox_image(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The pause image in the merged configuration against the table of kubeadm's."""
    found, want = _effective(facts), wanted(facts, profile).sandbox_image
    if found is None:
        return
    minor, version = profile.spec.kubernetes.minor, facts[ContainerdVersion].version[:2]
    if minor > NEWEST_KNOWN and profile.spec.containerd.sandboxImage == AUTO:
        newest = ".".join(map(str, NEWEST_KNOWN))
        yield warned(f"{want}, the one of {newest}", wanted="the one of this Kubernetes", fixed_by="",
                     cause=f"Kubernetes {'.'.join(map(str, minor))} is newer than the list of this caasctl.",
                     fix=Fix("spec.containerd.sandboxImage in the profile: what `kubeadm config images list` names", FixKind.EDIT))  # fmt: skip
    elif not found.sandbox_image and version not in _DEFAULT_PAUSE:
        yield unknown(
            f"no file sets it, and the default of containerd {'.'.join(map(str, version))} is not known (wanted: {want})"
        )
    elif not found.sandbox_image and _DEFAULT_PAUSE[version] == want:
        yield passed(f"{want}, containerd's default")
    elif not found.sandbox_image:
        yield warned(f"{_DEFAULT_PAUSE[version]}, containerd's default", wanted=want, fix=_INIT)
    elif found.sandbox_image != want:
        yield warned(found.sandbox_image, wanted=want, fix=_INIT)
    else:
        yield passed(want)


@check(
    "containerd.key_conflicts",
    "No two keys of the configuration exclude each other",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why="The CRI plugin refuses to start on such a pair, and `containerd config dump` prints it without a word.",
    fix="Keep the newer key of the pair.",
    source="containerd internal/cri/config",
    gates=("containerd",),
    after=_AFTER,
)
def key_conflicts(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """registry.config_path beside mirrors, cni.bin_dir beside bin_dirs."""
    found = _effective(facts)
    if found is None:
        return
    conflicts = list(contradictions(found))
    for problem in conflicts:
        yield failed(problem.what, wanted="one of the two", subject=facts[ContainerdConfig].path, cause=problem.cause,
                     fix=Fix(problem.fix, FixKind.EDIT))  # fmt: skip
    if not conflicts:
        yield passed("none")


@check(
    "containerd.cni_folders",
    "containerd looks for CNI where Cilium puts it",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion),
    why="Every pod without host networking stays in ContainerCreating, with Cilium healthy beside it:"
    ' `failed to find plugin "cilium-cni" in path [/usr/lib/cni]`, or `cni plugin not initialized`.',
    fix="The folders of Cilium's cni.binPath and cni.confPath (by default /opt/cni/bin and /etc/cni/net.d) in containerd's cni table; "
    "where this node begins the cluster, phase cilium tells Cilium containerd's own.",
    source="cilium/cilium 23870; Debian's containerd: 1.6 by its file, 1.7 compiled in",
    after=_AFTER,
)
def cni_folders(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """bin_dir, bin_dirs and conf_dir of the merged configuration's cni table; Cilium's cni.binPath and cni.confPath in the profile."""
    found = _effective(facts)
    if found is None:
        return
    plugins, networks = cni_of(facts, profile)
    places_of = {"bin_dir": plugins, "bin_dirs": plugins, "conf_dir": networks}
    given = {key: strings(found.cni[key]) or (str(found.cni[key]),) for key in places_of if found.cni.get(key)}
    wrong = [
        key for key, folders in given.items() if places_of[key].rstrip("/") not in {f.rstrip("/") for f in folders}
    ]
    for key in wrong:
        yield _elsewhere(facts, key, given[key], places_of[key])
    if not wrong:
        yield passed(f"{plugins}, {networks}")


def _elsewhere(facts: Facts, key: str, folders: tuple[str, ...], right: str) -> Finding:
    """Cilium can follow containerd, whose folder may be the distribution's; or the user moves containerd's."""
    files = facts[ContainerdConfig].files
    path = next(
        (one for file in files[::-1] if (one := set_by((file,), (*places(file.schema).runtime, "cni", key)))), ""
    )
    where, said = path or "compiled in", ", ".join(folders)
    value = f"cni: {{{'confPath' if key == 'conf_dir' else 'binPath'}: {folders[0]}}}"
    fix = Fix(f"give the profile spec.cilium.values: {{{value}}}, so that Cilium follows containerd", FixKind.EDIT)
    return warned(said, wanted=right, subject=key, fix=fix, evidence=(Evidence(where, f"{key} = {said}"),))


@check(
    "containerd.shim_exists",
    "Each handler's shim is there",
    reads=(ContainerdEffective, ContainerdConfig, ContainerdVersion, Shims),
    why='Pods stop with `binary not installed "containerd-shim-kata-qemu-v2": file does not exist` or `invalid custom binary path`.',
    fix="Install the program, or point runtime_path to it.",
    source="containerd core/runtime/v2/shim_manager.go",
    after=_AFTER,
)
def shim_exists(facts: Facts, _profile: NodeProfile) -> Iterator[Finding]:
    """runtime_path of each handler, else containerd-shim-NAME-VERSION on PATH."""
    found, shims = _effective(facts), facts[Shims]
    if found is None:
        return
    for name, runtime in found.runtimes.items():
        path = str(runtime.get("runtime_path") or "")
        program = shim_name(runtime)
        there = shims.by_path.get(path, False) if path else program in shims.on_path
        looked = path or program or "no runtime_type"
        if there:
            yield passed(path or shims.on_path[program], subject=name)
        else:
            yield warned(
                f"{looked} is not there" if path else f"{looked} is not on PATH",
                wanted="an executable shim",
                subject=name,
                fix=_shim_fix(name, looked, runtime),
            )


def shim_name(runtime: Data) -> str:
    """`containerd-shim-kata-qemu-v2` of io.containerd.kata-qemu.v2."""
    parts = str(runtime.get("runtime_type") or "").split(".")
    return f"containerd-shim-{parts[-2]}-{parts[-1]}" if len(parts) >= 2 else ""  # noqa: PLR2004 - name and version


def _shim_fix(name: str, looked: str, runtime: Data) -> Fix:
    if is_runc(runtime):
        return Fix(f"reinstall containerd: {looked} belongs to it", FixKind.EDIT)
    if name.startswith("kata"):
        return Fix("install Kata at spec.kata.prefix (caasctl explain kata.tree)", FixKind.EDIT)
    return Fix(f"install {looked}, or remove the handler {name}", FixKind.EDIT)


CHECKS: tuple[Check, ...] = (
    systemd_cgroups, handlers, default_runtime, sandbox_image, key_conflicts, cni_folders, shim_exists,
)  # fmt: skip
