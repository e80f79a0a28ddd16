"""The tarball that the profile names for Kata, as far as its name tells: opened, run and stored on this host."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kata import KataTree, KataTrees
from caasctl.facts.kata_host import Machine, Zstd
from caasctl.facts.os import Glibc
from caasctl.facts.os_system import Disk
from caasctl.model import Check, Facts, Finding, Fix, FixKind, check, failed, passed, warned
from caasctl.needs.containerd import handlers, kata_tree
from caasctl.profile import GPU_HANDLER, NodeProfile
from caasctl.syntax.kata_release import RELEASES, SPLIT, WORDS, Release, is_zst, of_name

_NEEDS_MIB = 2560  # unpacked, without NVIDIA's images
_DYNAMIC_NEEDS = (2, 34)  # Kata's Go programs before 4.1
_GO = f"take kata-go-static of {RELEASES}, and its hash: spec.kata.source, spec.kata.sha256"


@check(
    "kata.source",
    "The tarball of Kata fits this host",
    reads=(KataTrees, Machine, Zstd, Disk),
    why="What cannot be opened or run here is better known before it is fetched: a tarball for another processor ends in"
    " `Exec format error`, one of Kata 4.1 named kata-static has no Go shim, and Python has no reader for .zst.",
    fix="Name the kata-go-static file of a release for this processor, with its SHA-256; install zstd for .tar.zst.",
    source="kata-containers: release notes of 3.21.0 (zst), 4.1.0 (kata-go-static), kata-containers#11302",
    gates=("kata",),
)
def source(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The file's name in spec.kata.source, the processor, zstd, glibc and `df` of /opt; the tree that is there."""
    kata, tree = profile.spec.kata, kata_tree(facts, profile)
    names = handlers(facts, profile)
    if not kata.source or not names:
        return
    said = of_name(kata.source)
    if tree and tree.source == kata.sha256.lower():
        yield passed(f"installed: Kata {tree.version}, sha256:{tree.source[:12]}")
        return
    found = [
        *_opens(kata.source, facts),
        *_machine(said, facts),
        *_shims(said, names),
        *_glibc(said, facts),
        *_room(facts, tree),
    ]
    yield from found
    if not found:
        yield passed(
            f"Kata {said.version} for {said.arch}"
            if said.version
            else "its name says no version; it is judged when it is unpacked"
        )


def _opens(named: str, facts: Facts) -> Iterator[Finding]:
    if is_zst(named) and not facts[Zstd].path:
        yield failed("zstd is not installed", wanted="zstd, for .zst", subject="zstd",
                     fix=Fix("apt-get install -y zstd   # dnf install -y zstd"))  # fmt: skip


def _machine(said: Release, facts: Facts) -> Iterator[Finding]:
    here = facts[Machine].word
    if said.arch and WORDS.get(said.arch, said.arch) != here:
        yield failed(f"it is for {said.arch}, this host is {here}", wanted=here, subject="processor",
                     fix=Fix(f"take the file of that release that ends in -{here}.tar.zst, and its hash", FixKind.EDIT))  # fmt: skip


def _shims(said: Release, names: tuple[str, ...]) -> Iterator[Finding]:
    if said.kind == "tools":
        yield failed(
            "kata-tools-static has no runtime in it",
            wanted="kata-go-static",
            subject="shim",
            fix=Fix(_GO, FixKind.EDIT),
        )
    elif said.kind == "" and said.minor >= SPLIT:
        make = failed if GPU_HANDLER in names else warned
        yield make(
            f"kata-static {said.version} holds the Rust shim only (runtime-rs)",
            wanted="kata-go-static",
            subject="shim",
            fix=Fix(_GO, FixKind.EDIT),
            cause="Since 4.1 the Go shim comes in kata-go-static. The Rust one runs kata-qemu and kata-clh; its GPU configuration"
            " wants images as block devices, which containerd's overlayfs does not give.",
        )


def _glibc(said: Release, facts: Facts) -> Iterator[Finding]:
    has = facts.get(Glibc)
    if said.version and said.minor < SPLIT and has and has.version < _DYNAMIC_NEEDS:
        here = ".".join(map(str, has.version)) if has.version > (0, 0) else "another C library"
        yield failed(f"Kata {said.version} needs glibc 2.34, the host has {here}", wanted="Kata 4.1 or newer", subject="glibc",
                     fix=Fix(_GO, FixKind.EDIT), cause="Every Kata pod would fail with ``version `GLIBC_2.34' not found``.")  # fmt: skip


def _room(facts: Facts, tree: KataTree | None) -> Iterator[Finding]:
    disk = facts.get(Disk)
    space = next((space for space in disk.spaces if space.path == "/opt"), None) if disk else None
    if space and space.free_kib // 1024 < _NEEDS_MIB:
        beside = ", beside the tree that is there" if tree else ""
        yield failed(f"{space.free_kib // 1024} MiB free on {space.mount}", wanted=f"{_NEEDS_MIB} MiB{beside}", subject="/opt",
                     fix=Fix(f"make room on {space.mount} (`du -xh -d2 {space.mount} | sort -h | tail`)", FixKind.EDIT))  # fmt: skip


CHECKS: tuple[Check, ...] = (source,)
