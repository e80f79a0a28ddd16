"""How Kata's handlers are set up: what pods may change of it, how long it waits, and which of them GPUs go to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from caasctl.facts.containerd_config import ContainerdConfig, ContainerdEffective
from caasctl.facts.gpu import PciFunctions
from caasctl.facts.kata import KataConfig, KataConfigs, KataTrees
from caasctl.facts.kubernetes import Cluster, Kubelet
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.containerd import handlers, has_own, kata_tree
from caasctl.profile import GPU_HANDLER, NodeProfile
from caasctl.syntax.containerd.tables import DROP_IN, cri, strings

_PREFIX = "io.katacontainers.config.hypervisor."
# Of the hypervisor's annotations, those that name a file of the host, or arguments of a program that runs there as root.
_OF_HOST = ("path", "kernel", "initrd", "image", "firmware", "firmware_volume", "jailer_path", "ctlpath", "virtio_fs_daemon",
            "virtio_fs_extra_args", "file_mem_backend", "vhost_user_store_path", "entropy_source", "pflashes",
            "extra_monitor_socket")  # fmt: skip
_WHOLE_FILE = "io.katacontainers.config_path"
_EVERYTHING = "io.katacontainers.*"
_CREATE_S = {GPU_HANDLER: 1200}  # as phase kata sets it; Kata's own default for the others is 60
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_KUBELET_DEFAULT = "2m0s"


@check(
    "kata.annotations",
    "Pods can change nothing of Kata that reaches the host",
    reads=(KataConfigs, KataTrees),
    why="A pod's annotations reach the shim, which runs as root on the host: io.katacontainers.config_path names a whole"
    " configuration file, of the pod's own volume for instance, and with it the program that is started as hypervisor.",
    fix="Let containerd hand on the annotations only that spec.kata.annotations names, and keep paths out of enable_annotations.",
    source="kata-containers: src/runtime/pkg/containerd-shim-v2/create.go, oci/utils.go; kata-containers#13857",
)
def pod_annotations(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """enable_annotations of each handler's configuration, pod_annotations of its table in containerd's configuration."""
    tree, configs = kata_tree(facts, profile), facts[KataConfigs]
    for name in handlers(facts, profile):
        config = configs.in_effect(name, tree)
        allowed = config.annotations if config else profile.spec.kata.annotations
        found = [*_reach_host(name, allowed, config), *_handed_on(name, allowed, facts)]
        yield from found
        if not found:
            yield passed(f"may set {', '.join(allowed) or 'nothing'}", subject=name)


def _reach_host(name: str, allowed: tuple[str, ...], config: KataConfig | None) -> Iterator[Finding]:
    """Kata takes each entry for a pattern that may match anywhere in a name."""
    for entry in allowed:
        reached = [annotation for annotation in _OF_HOST if _matches(entry, annotation)]
        if reached:
            mend = (
                f"take {entry} out of enable_annotations in {config.path}"
                if config
                else f"take {entry} out of spec.kata.annotations"
            )
            yield failed(
                f"{entry} lets a pod set {', '.join(reached[:3])}{' and more' if len(reached) > 3 else ''}",  # noqa: PLR2004 - enough to see
                wanted="names of settings that stay in the guest",
                subject=name,
                fix=Fix(mend, FixKind.EDIT),
                cause="They name files of the host, or arguments of what runs there as root: with image a pod reads any disk,"
                " with path it runs any program.",
                evidence=(Evidence(config.path, f"enable_annotations: {entry}"),) if config else (),
            )


def _matches(pattern: str, name: str) -> bool:
    try:
        return re.search(pattern, name) is not None
    except re.error:
        return True  # of Go's own kind; not understood is not trusted


def _handed_on(name: str, allowed: tuple[str, ...], facts: Facts) -> Iterator[Finding]:
    effective = facts.get(ContainerdEffective)
    runtime = cri(effective.data).runtimes.get(name) if effective and not effective.error else None
    if runtime is None:
        return  # containerd.handlers says so
    globs = strings(runtime.get("pod_annotations"))
    wide = [glob for glob in globs if fnmatchcase(_WHOLE_FILE, glob)]
    if wide:
        yield _too_wide(name, wide[0], facts)
    lost = [
        one
        for one in allowed
        if re.fullmatch(r"\w+", one) and not any(fnmatchcase(_PREFIX + one, glob) for glob in globs)
    ]
    if lost:
        yield warned(f"containerd does not hand on {', '.join(lost)}", wanted=f"{_PREFIX}{lost[0]} in pod_annotations", subject=name,
                     fix=Fix("caasctl init-node"), fixed_by="containerd",
                     cause="Kata would take them, but they have no effect, and nobody says so.")  # fmt: skip


def _too_wide(name: str, glob: str, facts: Facts) -> Finding:
    config = facts.get(ContainerdConfig)
    others = [
        file.path
        for file in (config.files if config else ())
        if file.path != DROP_IN and _EVERYTHING in (file.text or "")
    ]
    fix = (
        Fix(
            f"in {others[0]}: take {glob} out of pod_annotations of {name}, then systemctl restart containerd",
            FixKind.EDIT,
        )
        if others
        else None
    )
    return failed(
        f"containerd hands on {glob}, {_WHOLE_FILE} among them",
        wanted="the annotations of spec.kata.annotations only",
        subject=name,
        fix=fix or Fix("caasctl init-node"),
        fixed_by="" if others else "containerd",
        cause="A pod may then name its own configuration of Kata, and with it the program that runs as root on the host.",
    )


@check(
    "kata.timeouts",
    "The kubelet waits for a guest as long as Kata does",
    reads=(KataConfigs, KataTrees, Kubelet, Cluster),
    why="A guest with GPUs maps all its memory and the GPUs' before it starts, which takes minutes. The shorter of the kubelet's"
    " runtimeRequestTimeout and Kata's create_container_timeout counts: the pod ends in `context deadline exceeded`, is made"
    " again, and never comes up.",
    fix="runtimeRequestTimeout of at least create_container_timeout: 20m0s with GPUs.",
    source="kata-containers: configuration-qemu-nvidia-gpu.toml; docs/use-cases/NVIDIA-GPU-passthrough-and-Kata-QEMU.md",
)
def timeouts(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """create_container_timeout of each handler, runtimeRequestTimeout of the kubelet or of spec.kubernetes.kubelet, GPUs."""
    names, tree, configs = handlers(facts, profile), kata_tree(facts, profile), facts[KataConfigs]
    if not names:
        return
    text, where, fix = _patience(facts, profile, names)
    has = parse_duration(text)
    for name in names:
        config = configs.in_effect(name, tree)
        wants = (config.create_timeout_s if config else 0) or _CREATE_S.get(name, 60)
        gpus = f", with {_gpus(facts, profile)} GPUs to be passed through" if name == GPU_HANDLER else ""
        if has is not None and has < wants:
            make = failed if name == GPU_HANDLER else warned
            yield make(f"the kubelet gives up after {text}, Kata after {_words(wants)}{gpus}", wanted=f"at least {_words(wants)}", subject=name,
                       fix=Fix(fix.format(_words(wants)), FixKind.EDIT), evidence=(Evidence(where, f"runtimeRequestTimeout: {text}"),))  # fmt: skip
        elif config and name == GPU_HANDLER and wants < _CREATE_S[name]:
            yield warned(f"Kata gives up after {_words(wants)}{gpus}", wanted="20m0s", subject=name,
                         fix=Fix(f"create_container_timeout = 1200 in {config.path}", FixKind.EDIT),
                         fixed_by="kata" if has_own(name, tree, profile) else "")  # fmt: skip
        else:
            yield passed(f"the kubelet {text}, Kata {_words(wants)}{gpus}", subject=name)


def _patience(facts: Facts, profile: NodeProfile, names: tuple[str, ...]) -> tuple[str, str, str]:
    """runtimeRequestTimeout, where it is said, and how to set another: the kubelet's own file, else what it will get."""
    config = facts[Kubelet].config if facts[Cluster].begun else None  # else kubeadm writes it anew
    own = profile.spec.kubernetes.kubelet.get("runtimeRequestTimeout")
    if config is not None:
        path = "/var/lib/kubelet/config.yaml"
        return (
            str(config.get("runtimeRequestTimeout") or _KUBELET_DEFAULT),
            path,
            f"runtimeRequestTimeout: {{}} in {path}, then systemctl restart kubelet",
        )
    if own is not None:
        return str(own), "the profile", "spec.kubernetes.kubelet.runtimeRequestTimeout: {} in the profile"
    return "20m0s" if GPU_HANDLER in names else "15m0s", "caasctl", ""


def parse_duration(text: str) -> float | None:
    """Seconds of 1h2m3.5s, as Go writes them; None where it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    return (
        sum(float(number) * _UNITS[unit] for number, unit in parts)
        if parts and "".join(map("".join, parts)) == text
        else None
    )


def _words(seconds: int) -> str:
    return f"{seconds // 60}m{seconds % 60}s"


def _gpus(facts: Facts, profile: NodeProfile) -> int:
    functions = facts.get(PciFunctions)
    return len(functions.selected(profile.spec.gpu)) if functions else 0


@check(
    "kata.gpu_handler",
    "GPUs go to a handler that can pass them through",
    reads=(PciFunctions, KataTrees, KataConfigs),
    why="With kata-clh a pod that asks for a GPU fails: `cold_plug_vfio= or hot_plug_vfio= port is not set for device`, and where a"
    " port is set, `has no IOMMU group` in the guest or, from the second GPU on, `IommuDmaMap(Error(17))`.",
    fix="runtimeClassName: kata-qemu-nvidia-gpu for pods with GPUs, on a release of Kata that has it; docs/runtimes.md says why.",
    source="kata-containers#10582, #11687, #12257; docs/hypervisors.md of 4.1",
)
def gpu_handler(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.runtimes, spec.containerd.defaultRuntime, the GPUs that spec.gpu selects, and the handlers' VFIO ports."""
    names, count, tree = handlers(facts, profile), _gpus(facts, profile), kata_tree(facts, profile)
    if GPU_HANDLER not in names or not (count or profile.spec.gpu.passthrough == "required"):
        return
    found = [*_wrong_runtime(profile, count), *_clh_ports(facts, names), *_no_handler(facts, profile)]
    config = facts[KataConfigs].in_effect(GPU_HANDLER, tree)
    if config and not has_own(GPU_HANDLER, tree, profile):
        found += _ports(config)
    yield from found
    if not found:
        yield passed(f"{count} GPU{'s' * (count != 1)} by {GPU_HANDLER}")


def _wrong_runtime(profile: NodeProfile, count: int) -> Iterator[Finding]:
    listed = [name for name in profile.spec.runtimes if name.startswith("kata-")]
    use = Fix(
        "spec.runtimes: [runc, kata-clh, kata-qemu-nvidia-gpu], and runtimeClassName: kata-qemu-nvidia-gpu for pods with GPUs",
        FixKind.EDIT,
    )
    if listed == ["kata-clh"]:
        yield failed(f"{count} GPUs to be passed through, and kata-clh is the only Kata handler listed", wanted=GPU_HANDLER,
                     subject="kata-clh", fix=use)  # fmt: skip
    if profile.spec.containerd.defaultRuntime == "kata-clh":
        yield failed("pods without a RuntimeClass run on kata-clh, those with GPUs too", wanted=f"runc as default, {GPU_HANDLER} for GPUs",
                     subject="defaultRuntime", fix=Fix("spec.containerd.defaultRuntime: runc", FixKind.EDIT))  # fmt: skip


def _clh_ports(facts: Facts, names: tuple[str, ...]) -> Iterator[Finding]:
    """Somebody has tried."""
    tree_configs = facts[KataConfigs].configs if "kata-clh" in names else ()
    for config in tree_configs:
        if config.hypervisor in ("clh", "cloud-hypervisor") and {config.cold_plug, config.hot_plug} - {"", "no-port"}:
            yield failed("kata-clh is set up to take GPUs", wanted=f"no-port, and {GPU_HANDLER} for GPUs", subject=config.path,
                         fix=Fix(f'cold_plug_vfio = "no-port" and hot_plug_vfio = "no-port" in {config.path}', FixKind.EDIT))  # fmt: skip


def _no_handler(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    tree = kata_tree(facts, profile)
    if tree and not profile.spec.kata.source and not tree.runs(GPU_HANDLER)[0]:
        yield failed(f"{tree.prefix} {tree.version} has nothing for {GPU_HANDLER}", wanted="Kata 3.20 or newer, with it", subject=GPU_HANDLER,
                     fix=Fix("give spec.kata.source and spec.kata.sha256 of a kata-go-static that has it", FixKind.EDIT))  # fmt: skip


def _ports(config: KataConfig) -> Iterator[Finding]:
    """Of a configuration that is not caasctl's, kata-deploy's for one."""
    both = config.cold_plug not in ("", "no-port") and config.hot_plug not in ("", "no-port")
    if both or config.cold_plug in ("", "no-port"):
        said = f"cold_plug_vfio {config.cold_plug or 'not given'}, hot_plug_vfio {config.hot_plug or 'not given'}"
        yield failed(said, wanted='cold_plug_vfio = "root-port", hot_plug_vfio = "no-port"', subject=GPU_HANDLER,
                     fix=Fix(f"set both in {config.path} (or in a file of its config.d)", FixKind.EDIT),
                     cause="`only one of them can be set`" if both else "`cold_plug_vfio= or hot_plug_vfio= port is not set for device`")  # fmt: skip


CHECKS: tuple[Check, ...] = (pod_annotations, timeouts, gpu_handler)
