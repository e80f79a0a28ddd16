"""What on this host is caasctl's: by the record of its runs, by the header of its files, by its own folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any

from caasctl import formats
from caasctl.frozen import dataclass
from caasctl.model import MARK, Unreadable
from caasctl.protocol import FileKind, Probe, Reader
from caasctl.syntax import kata_release, kubeadm, sysctl
from caasctl.syntax.digests import sha256

RUNS = "/var/lib/caasctl/runs"
GRUB, TRIAL = "/etc/default/grub.d/zz-caasctl.cfg", "/etc/grub.d/42_caasctl_trial"
MODULES = ("/etc/modules-load.d/zz-caasctl.conf", "/etc/modules-load.d/zz-caasctl-cilium.conf")
SYSCTLS = ("/etc/sysctl.d/zz-caasctl.conf", "/etc/sysctl.d/zz-caasctl-cilium.conf")
GPU_MODULES, GPU_MODPROBE = "/etc/modules-load.d/zz-caasctl-gpu.conf", "/etc/modprobe.d/zz-caasctl-gpu.conf"
GPU_RULES, GPU_UNIT = "/etc/udev/rules.d/70-caasctl-gpu.rules", "/etc/systemd/system/caasctl-gpu.service"
GPU_HOOK, GPU_DRACUT = "/etc/initramfs-tools/hooks/zz-caasctl-gpu", "/etc/dracut.conf.d/zz-caasctl-gpu.conf"
GPU_SCRIPT = "/usr/local/lib/caasctl/gpu.sh"
GPU_EARLY, GPU_HOOKS = (GPU_RULES, GPU_MODPROBE), (GPU_HOOK, GPU_DRACUT)
GPU = (GPU_MODULES, *GPU_EARLY, *GPU_HOOKS, GPU_UNIT, GPU_SCRIPT)
CRICTL, CONTAINERD = "/etc/crictl.yaml", "/etc/containerd/conf.d/zz-caasctl.toml"
PROXY, PROXY_DROP_IN = "/etc/caasctl/proxy.env", "/etc/systemd/system/{}.service.d/zz-caasctl-proxy.conf"
PROXY_UNITS = ("containerd", "kubelet")
APT_PROXY = ("/etc/apt/apt.conf.d/zz-caasctl-proxy.conf", "/etc/apt/auth.conf.d/zz-caasctl-proxy.conf")
VALUES = f"{kubeadm.FOLDER}/cilium-values.yaml"
FROZEN = (
    kubeadm.CONFIG,
    kubeadm.AUDIT_POLICY,
    kubeadm.ADMISSION,
    kubeadm.KUBELET_PATCH,
    VALUES,
    kubeadm.OBJECTS,
    kubeadm.TENANTS,
)  # fmt: skip - those with a header
OWN_FOLDER = (*FROZEN, kubeadm.ENCRYPTION, kubeadm.UNDER_WAY)
KATA = tuple(
    path
    for handler in kata_release.HANDLERS
    for path in (kata_release.own_configuration(handler), kata_release.own_drop_in(handler))
)
PROXIES = (PROXY, *map(PROXY_DROP_IN.format, PROXY_UNITS), *APT_PROXY)
FILES = (*MODULES, *SYSCTLS, GRUB, TRIAL, CONTAINERD, CRICTL, *GPU, *KATA, *PROXIES, *FROZEN)
_OF_JOINED = {kubeadm.KUBELET_PATCH, kubeadm.ADMISSION}  # only a control plane that joined has both
_ENTRY = re.compile(r"\d{4}\.json")
Original = tuple[str, int]


@dataclass(frozen=True)
class Record:
    """What the record of caasctl's runs says; a run that was taken back is no longer `open`.

    resources: names of all that was ever changed. begun: the open ones that began a cluster here, or joined one.
    written: path -> SHA-256 of every text that caasctl wrote there. originals: path -> (text, mode) before the first open
    change of containerd's files, None for nothing; without those whose copy is lost. commands: the ways back of open
    changes, of each thing the first, which leads to what was there before caasctl. folders: that open changes made.
    links: path of a link -> what lay there before the first open change, in the words of syntax/links. runs: the open ones.
    """

    resources: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()
    written: Mapping[str, frozenset[str]] = field(default_factory=dict)
    originals: Mapping[str, Original | None] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()
    folders: frozenset[str] = frozenset()
    runs: tuple[str, ...] = ()
    links: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class OwnFiles:
    """found: path -> SHA-256 of the files with caasctl's header. folder: what is there of /etc/kubernetes/caasctl.

    foreign: the API server of this node reads nothing there, as every one does that a run of init-node began, and this is no
    control plane that a run of join-node brought into a cluster of somebody else's.
    """

    found: Mapping[str, str] = field(default_factory=dict)
    folder: tuple[str, ...] = ()
    foreign: bool = False


def read_record(host: Reader) -> Record:
    """Raises Unreadable."""
    open_runs, every = [], []
    for run in host.list(RUNS) or ():
        entries = [(run, entry) for entry in _entries(host, run)]
        every += entries
        if entries and host.stat(f"{RUNS}/{run}/undone") is None:
            open_runs.append((int(entries[0][1].get("number", 0)), run, entries))
    opened = [pair for _, _, entries in sorted(open_runs, key=lambda found: found[:2]) for pair in entries]
    began = (
        entry for _, entry in opened if entry.get("resource") in (kubeadm.INIT, kubeadm.JOIN) and entry.get("first")
    )
    return Record(
        frozenset(str(entry.get("resource", "")) for _, entry in every),
        frozenset(str(entry["resource"]) for entry in began),
        _written(entry for _, entry in every),
        _originals(host, opened),
        _commands(entry for _, entry in opened),
        frozenset(str(folder) for _, entry in opened for folder in entry.get("folders") or ()),
        tuple(dict.fromkeys(run for run, _ in opened)),
        _links(entry for _, entry in opened),
    )


def _entries(host: Reader, run: str) -> Iterator[Mapping[str, Any]]:
    """The entries of a run, first change first."""
    for name in host.list(f"{RUNS}/{run}") or ():
        path = f"{RUNS}/{run}/{name}"
        if _ENTRY.fullmatch(name):
            try:
                entry = formats.parse_json(host.read(path) or "", path)
            except formats.FormatError as error:
                raise Unreadable(path, "is no entry of caasctl's record") from error
            if not isinstance(entry, dict) or not isinstance(entry.get("files", []), list):
                raise Unreadable(path, "is no entry of caasctl's record")
            yield entry


def _written(entries: Iterator[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for entry in entries:
        for file in entry.get("files", ()):
            if file.get("sha256After"):
                found.setdefault(file["path"], set()).add(file["sha256After"])
    return {path: frozenset(digests) for path, digests in found.items()}


def _originals(host: Reader, opened: list[tuple[str, Mapping[str, Any]]]) -> dict[str, Original | None]:
    """Only containerd's files were there before, and were merged into: of others no text is read, some hold keys.

    A copy that is gone or damaged is neither nothing nor the text of before: then nobody knows what that was.
    """
    firsts: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for run, entry in opened:
        for file in entry.get("files", ()) if entry.get("resource") == "containerd" else ():
            firsts.setdefault(file["path"], (run, file))
    found: dict[str, Original | None] = {}
    for path, (run, file) in firsts.items():
        text = host.read(f"{RUNS}/{run}/{file['backup']}") if file.get("backup") else None
        if not file.get("backup"):
            found[path] = None
        elif text is not None and sha256(text) == file.get("sha256Before", sha256(text)):
            found[path] = (text, int(file["mode"], 8))
    return found


def _links(entries: Iterator[Mapping[str, Any]]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for entry in entries:
        for link in entry.get("links") or ():
            found.setdefault(str(link["path"]), link["before"])
    return found


def _commands(entries: Iterator[Mapping[str, Any]]) -> tuple[tuple[str, ...], ...]:
    """Of each thing the first: what the last word of a command names, `sysctl -w key=value` by its key."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for entry in entries:
        told = [tuple(argv) for argv in (*(entry.get("first") or ()), *(entry.get("commands") or ()))]
        told += [("sysctl", "-w", f"{sysctl.key_of(value['path'])}={value['before']}") for value in entry.get("values") or ()
                 if str(value["path"]).startswith("/proc/sys/")]  # fmt: skip
        for argv in told:
            program, *words = argv
            thing = words[-1].partition("=")[0] if program == "sysctl" else " ".join(words)
            found.setdefault((program, thing), argv)
    return tuple(found.values())


def read_own_files(host: Reader) -> OwnFiles:
    found = {path: sha256(text) for path in FILES if (text := _file(host, path)) and MARK in text.lower()}
    folder, api_server = (
        tuple(path for path in OWN_FOLDER if host.stat(path, follow=False)),
        _file(host, kubeadm.MANIFESTS[1]),
    )
    foreign = bool(api_server) and kubeadm.FOLDER not in api_server and not {*folder} >= _OF_JOINED
    return OwnFiles(found, folder, foreign)


def _file(host: Reader, path: str) -> str:
    """The text of a plain file; "" of what is none, or what only root may read: then there is no telling whose it is."""
    there = host.stat(path, follow=False)
    try:
        return (host.read(path) or "") if there and there.kind is FileKind.FILE else ""
    except Unreadable:
        return ""


PROBES: tuple[Probe, ...] = (Probe(Record, read_record), Probe(OwnFiles, read_own_files))
