"""Kata's own files: is the installation complete, and does its shim run on this C library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from caasctl.facts.containerd_config import ContainerdEffective
from caasctl.facts.kata import KataConfigs, KataTree, KataTrees, ShimGlibc
from caasctl.facts.os import Glibc
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, Level, check, failed, passed, unknown, warned
from caasctl.needs.containerd import handlers
from caasctl.profile import NodeProfile
from caasctl.syntax.containerd.tables import cri, table
from caasctl.syntax.kata_release import RELEASES, of_name, own_configuration

_STATIC_SINCE = (4, 1)  # the Go binaries of Kata's own releases, on x86 and arm
_DYNAMIC_NEEDS = (2, 34)
_NEEDS_GO = ("kata-qemu-nvidia-gpu",)


@check(
    "kata.tree",
    "Kata is installed whole",
    reads=(KataTrees, KataConfigs, ContainerdEffective),
    why="A pod of a Kata handler stays in ContainerCreating with `failed to create containerd task: failed to create shim`"
    " where the shim, its configuration, the guest's kernel or image is not there.",
    fix="Give spec.kata.source and its sha256, or unpack a Kata release at spec.kata.prefix.",
    source="kata-containers: tools/packaging, release notes of 4.1.0",
    gates=("kata",),
)
def tree(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """spec.kata.prefix (shims, configuration-*.toml) and each path that the handlers' configurations name."""
    if not profile.kata_handlers:
        return
    trees, prefix = facts[KataTrees], profile.spec.kata.prefix.rstrip("/")
    found = trees.at(prefix)
    yield from _named_in_vain(facts, profile)
    if found is None and prefix not in trees.prefixes and not prefix.startswith("/opt/kata"):
        yield unknown(f"caasctl looks into {', '.join(trees.prefixes)} only, not into {prefix}")
    elif found is None and profile.spec.kata.source:
        yield _to_come(profile.spec.kata.source)
    elif found is None:
        yield _no_tree(trees, prefix)
    else:
        goes = _replaced(found, profile)
        for handler in handlers(facts, profile):
            judged = _handler(handler, found, facts[KataConfigs])
            yield (
                replace(judged, fixed_by="kata", fix=Fix("caasctl init-node"))
                if goes and judged.level is not Level.PASS
                else judged
            )


def _named_in_vain(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Configurations of caasctl's that containerd names and that are not there: phase kata was left out, or they were removed."""
    effective = facts.get(ContainerdEffective)
    runtimes = cri(effective.data).runtimes if effective else {}
    for handler in handlers(facts, profile):
        path = table(runtimes.get(handler, {}), "options").get("ConfigPath")
        if path == own_configuration(handler) and facts[KataConfigs].of(path) is None:
            yield failed(f"containerd names {path}, which is not there", wanted=path, subject=handler, fix=Fix("caasctl init-node"),
                         fixed_by="kata", cause="The shim starts and stops with `Cannot find usable config file`.")  # fmt: skip


def _replaced(found: KataTree, profile: NodeProfile) -> bool:
    """Whether phase kata puts the profile's tarball in the place of this tree."""
    return bool(profile.spec.kata.source) and found.source != profile.spec.kata.sha256.lower()


def _to_come(source: str) -> Finding:
    said = of_name(source).version
    return failed("none yet", wanted=f"Kata {said}".strip(), fix=Fix("caasctl init-node"), fixed_by="kata")


def _no_tree(trees: KataTrees, prefix: str) -> Finding:
    others = ", ".join(tree.prefix for tree in trees.trees)
    return warned(
        f"none at {prefix}" + (f", one at {others}" if others else ""),
        wanted=f"a Kata release at {prefix}",
        fix=Fix(f"in the profile: spec.kata.prefix: {trees.trees[0].prefix}", FixKind.EDIT)
        if others
        else Fix(f"tar -C / -xf kata-go-static-4.1.0-amd64.tar.zst   # of {RELEASES}"),
        cause="containerd is given the Kata handlers all the same; until Kata is there their pods fail with"
        ' `binary not installed "containerd-shim-kata-qemu-v2": file does not exist` or `invalid custom binary path`.',
    )


def _handler(handler: str, found: KataTree, configs: KataConfigs) -> Finding:
    shim, path = found.runs(handler)
    where = f"{found.prefix} {found.version or 'of unknown version'}"
    if not shim:
        return _incomplete(handler, found, where, found.config(handler) or found.config(handler, rust=True))
    config = configs.of(path)
    if config and config.missing:
        return failed(
            f"missing: {', '.join(config.missing)}",
            wanted="every file that the configuration names",
            subject=handler,
            fix=_install(found),
            evidence=(Evidence(path, config.missing[0]),),
            cause="The sandbox is not created: `failed to create shim task: ... no such file or directory`.",
        )
    if shim == found.rust_shim and handler in _NEEDS_GO:
        return _only_rust(handler, found, where)
    return passed(f"{where}, {path}", subject=handler)


def _install(found: KataTree) -> Fix:
    name = "kata-go-static" if found.release >= _STATIC_SINCE else "kata-static"
    return Fix(f"tar -C / -xf {name}-{found.version or 'VERSION'}-amd64.tar.zst   # of {RELEASES}")


def _incomplete(handler: str, found: KataTree, where: str, config: str) -> Finding:
    if config:
        rust = " but the Rust one" if found.rust_shim else ""
        lacks, cause = f"no shim{rust} for {config}", "The shim cannot start: `invalid custom binary path`."
    else:
        lacks = f"no configuration-{handler.removeprefix('kata-')}.toml"
        cause = "The shim starts and stops with `Cannot find usable config file`."
    if found.release >= _STATIC_SINCE and not found.go_shim:
        cause += " Since 4.1 kata-static holds runtime-rs only; the Go shim comes in kata-go-static."
    return failed(
        f"{where} has {lacks}",
        wanted="a shim and its configuration",
        subject=handler,
        fix=_install(found),
        cause=cause,
    )


def _only_rust(handler: str, found: KataTree, where: str) -> Finding:
    return warned(
        f"{where} has the Rust shim only (runtime-rs)",
        wanted=f"{found.prefix}/bin/containerd-shim-kata-v2",
        subject=handler,
        fix=_install(found),
        cause="Its GPU configuration shares no files with the guest (shared_fs none) and wants the image as a block device:"
        " with containerd's overlayfs the container's root does not come up. The Go shim takes overlayfs.",
    )


@check(
    "kata.glibc",
    "The Kata shim runs on this C library",
    reads=(Glibc, KataTrees),
    why="Kata's Go binaries up to 4.0 are linked against the C library of their build machine: on an older distribution"
    " every Kata pod fails with ``version `GLIBC_2.34' not found``, after an installation without an error.",
    fix="Use Kata 4.1 or later (its Go binaries are static on x86 and arm), or a distribution with glibc 2.34.",
    source="kata-containers#11302, kata-containers#13499",
    gates=("kata",),
)
def glibc(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The symbol versions that the Go shim names (grep), else Kata's version; the host's glibc."""
    found = facts[KataTrees].at(profile.spec.kata.prefix)
    if not profile.kata_handlers or found is None or not found.go_shim or _replaced(found, profile):
        return
    has = facts[Glibc].version
    needs, how = _needs(found, facts)
    if needs is None:
        yield unknown(f"what {found.go_shim} needs cannot be told", subject=found.go_shim)
    elif needs > has and (has != (0, 0) or needs > (0, 0)):
        yield failed(
            f"the shim needs {_dotted(needs)}, the host has {_dotted(has) if has > (0, 0) else 'another C library'}",
            wanted=f"glibc {_dotted(needs)} or newer",
            subject=found.go_shim,
            fix=Fix(f"replace {found.prefix} by Kata 4.1 or later (kata-go-static, of {RELEASES})", FixKind.EDIT),
            evidence=(Evidence(found.go_shim, how),),
        )
    else:
        yield passed(f"needs {_dotted(needs) if needs > (0, 0) else 'none'}, the host has {_dotted(has)}")


def _needs(found: KataTree, facts: Facts) -> tuple[tuple[int, int] | None, str]:
    """(version asked for, how it is known); (0, 0) for a static binary, None where nobody can tell."""
    read = facts.get(ShimGlibc)
    asked = dict(read.needs).get(found.go_shim) if read else None
    if asked is not None:
        major, _, minor = asked.partition(".")
        return (int(major), int(minor)) if asked else (0, 0), f"names GLIBC_{asked}"
    if not found.release:
        return None, ""
    static = found.release >= _STATIC_SINCE
    return (0, 0) if static else _DYNAMIC_NEEDS, f"Kata {found.version}"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


CHECKS: tuple[Check, ...] = (tree, glibc)
