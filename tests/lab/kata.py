"""Small tarballs laid out as Kata's releases are: real ones, of a few files whose programs are only ELF heads."""

from __future__ import annotations

import hashlib
import io
import lzma
import subprocess
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

X86, ARM = 62, 183
SHIM = "containerd-shim-kata-v2"
BASE = "opt/kata/share/defaults/kata-containers"
QEMU = """\
[hypervisor.qemu]
path = "/opt/kata/bin/qemu-system-x86_64"
kernel = "/opt/kata/share/kata-containers/vmlinux.container"
image = "/opt/kata/share/kata-containers/kata-containers.img"
enable_annotations = ["enable_iommu", "kernel_params", "kernel_verity_params"]
cold_plug_vfio = "no-port"
hot_plug_vfio = "no-port"
[agent.kata]
dial_timeout = 45
[runtime]
sandbox_cgroup_only = false
create_container_timeout = 60
"""
CLH = QEMU.replace("hypervisor.qemu", "hypervisor.clh").replace("qemu-system-x86_64", "cloud-hypervisor")
RUST = QEMU.replace("dial_timeout = 45", "dial_timeout_ms = 45000\ncreate_container_timeout = 30").replace(
    "create_container_timeout = 60\n", ""
)


class Entry(NamedTuple):
    """A member of a tarball. kind: of tarfile. data: a file's bytes, or where a link leads."""

    name: str
    data: bytes | str = b""
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644


def program(machine: int = X86, glibc: str = "") -> bytes:
    """The head of an ELF file of a processor, that names a version of the C library."""
    return (
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
        + b"\x02\x00"
        + machine.to_bytes(2, "little")
        + f"..GLIBC_{glibc}\0".encode()
    )


def release(
    version: str = "4.1.0", *, machine: int = X86, glibc: str = "2.17", go: bool = True, rust: bool = False
) -> list[Entry]:
    """What a release holds, as far as anybody here looks at it."""
    share = "opt/kata/share/kata-containers"
    found = [
        Entry("opt/kata/VERSION", f"{version}\n".encode()),
        Entry("opt/kata/bin/qemu-system-x86_64", program(machine), mode=0o755),
        Entry("opt/kata/bin/cloud-hypervisor", program(machine), mode=0o755),
        Entry(f"{share}/vmlinux-6.18.35", b"kernel"),
        Entry(f"{share}/vmlinux.container", "vmlinux-6.18.35", tarfile.SYMTYPE),
        Entry(f"{share}/kata-containers.img", b"image" + bytes(3 << 20) + b"end"),
        Entry("opt/kata/share/kata-qemu/firmware.img", program(21)),  # QEMU brings firmware of other processors
    ]
    if go:
        found += [Entry(f"opt/kata/bin/{SHIM}", program(machine, glibc), mode=0o755), *_configurations("", QEMU)]
        found += [
            Entry(f"{BASE}/configuration-clh.toml", CLH.encode()),
            Entry(f"{BASE}/configuration.toml", "configuration-qemu.toml", tarfile.SYMTYPE),
        ]
    if rust:
        found += [
            Entry(f"opt/kata/runtime-rs/bin/{SHIM}", program(machine), mode=0o755),
            *_configurations("-runtime-rs", RUST),
        ]
        found.append(
            Entry(
                f"{BASE}/runtime-rs/configuration-clh-runtime-rs.toml",
                RUST.replace("hypervisor.qemu", "hypervisor.cloud-hypervisor").encode(),
            )
        )
    return found


def _configurations(kind: str, text: str) -> list[Entry]:
    folder = BASE + ("/runtime-rs" if kind else "")
    return [Entry(f"{folder}/configuration-{name}{kind}.toml", text.encode()) for name in ("qemu", "qemu-nvidia-gpu")]


def tar(entries: Iterable[Entry]) -> bytes:
    """As `tar -c ./opt` makes it: names begin with ./ and folders come before what is in them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        seen: set[str] = set()
        for entry in entries:
            for folder in [
                str(above) for above in reversed(Path(entry.name).parents) if str(above) not in (".", "/", "..")
            ]:
                if folder not in seen and not entry.name.startswith("/"):
                    seen.add(folder)
                    _add(made, Entry(folder, kind=tarfile.DIRTYPE, mode=0o755))
            _add(made, entry)
    return out.getvalue()


def _add(made: tarfile.TarFile, entry: Entry) -> None:
    plain = entry.name.startswith(("/", "."))
    member = tarfile.TarInfo(entry.name if plain else f"./{entry.name}")
    member.type, member.mode = entry.kind, entry.mode
    if isinstance(entry.data, str):
        member.linkname = entry.data
        made.addfile(member)
    else:
        member.size = len(entry.data)
        made.addfile(member, io.BytesIO(entry.data))


def zst(data: bytes) -> bytes:
    return subprocess.run(("zstd", "-qc"), input=data, capture_output=True, check=True).stdout


PACKS: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "zst": zst}


def write(path: Path, entries: Iterable[Entry]) -> str:
    """Makes the tarball, compressed as its name says; its hash."""
    data = PACKS[path.suffix.lstrip(".")](tar(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
