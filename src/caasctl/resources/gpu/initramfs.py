"""The initramfs of every kernel made anew, so that what is told to udev and modprobe holds from the first second of a boot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from caasctl.frozen import dataclass
from caasctl.model import CaasError
from caasctl.protocol import IN_EFFECT, Absent, FileKind, Known, Reader, Resource, State, Writer

BOOT = "/boot"
# kernel release -> its image, by the names that the generators give; dracut's are the distribution's
_IMAGES = {"initramfs-tools": ("initrd.img-{}",), "dracut": ("initramfs-{}.img", "initrd.img-{}")}
_MAKE = {
    "initramfs-tools": ("update-initramfs", "-u", "-k", "all"),
    "dracut": ("dracut", "--force", "--regenerate-all"),
}
_MAKE_S = 1800.0  # a minute for each kernel, on a slow disk
_SPARE_KIB = 16 * 1024
_AVAILABLE = re.compile(r"^\s*(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class InitramfsActivation:
    """generator: initramfs-tools, dracut, or "" where the host boots without one. paths: the files that go into it.

    hooks: what brings them into it, and is taken away after them: while one has still to go, an image may hold them.
    """

    generator: str
    paths: tuple[str, ...]
    hooks: tuple[Resource, ...] = ()

    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        """An image older than a file that belongs into it is behind; ctime is the kernel's own and no package sets it."""
        if not self.generator:
            return Known(IN_EFFECT)
        if all(isinstance(files.get(path), Absent) for path in self.paths):
            left = [hook.name for hook in self.hooks if hook.target(now := hook.look(host)) != now]
            return Known(f"images may hold what is gone: {', '.join(left)} is there" if left else IN_EFFECT)
        newest = max((there.ctime_ns for path in self.paths if (there := host.stat(path))), default=0)
        behind = [image for image, changed_ns in self._images(host) if changed_ns < newest]
        return Known(f"older than {', '.join(self.paths)}: {', '.join(behind)}" if behind else IN_EFFECT)

    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:  # noqa: ARG002 - a full /boot breaks the next boot, whatever is staged
        """Each image is written beside the old one first."""
        sizes = [there.size for image, _ in self._images(host) if (there := host.stat(image))]
        if not self.generator or not sizes:
            return
        said = host.query("df", "-k", "--output=avail", "--", BOOT)
        found = _AVAILABLE.search(said.stdout)
        wanted_kib = max(sizes) // 1024 + _SPARE_KIB
        if not said.ok or not found:
            raise CaasError(f"how much room {BOOT} has cannot be told", cause=said.stderr.strip() or "df prints no number",
                            fix=f"`df -k {BOOT}` should print it; then run the same command again")  # fmt: skip
        if int(found[1]) < wanted_kib:
            raise CaasError(f"{BOOT} has {int(found[1]) // 1024} MiB free, a new initramfs takes {wanted_kib // 1024} MiB",
                            cause="one that is cut off does not boot",
                            fix="remove kernels that you no longer boot (`apt-get autoremove --purge`), then run the same command again")  # fmt: skip

    def activate(self, host: Writer) -> None:
        host.execute("udevadm", "control", "--reload")
        if self.generator:
            host.execute(*_MAKE[self.generator], timeout_s=_MAKE_S)

    def prove(self, host: Writer) -> None:
        """Where the files have gone, the hooks tell: they are the next to go."""
        state = self.state(host, {path: Known("") for path in self.paths})
        if isinstance(state, Known) and state.text != IN_EFFECT:
            raise CaasError(f"`{' '.join(_MAKE[self.generator])}` left images as they were", cause=state.text,
                            fix="see what it says when you run it; where the clock was set back meanwhile, "
                            f"`touch {' '.join(self.paths)}` first")  # fmt: skip

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        reload = (("udevadm", "control", "--reload"),)
        return (*reload, _MAKE[self.generator]) if self.generator else reload

    def _images(self, host: Reader) -> Iterator[tuple[str, int]]:
        """(path, ctime in ns) of the image of each kernel that is installed and has one; rescue images are none of these."""
        named = [
            name.format(release) for release in host.list("/lib/modules") or () for name in _IMAGES[self.generator]
        ]
        for image in (f"{BOOT}/{name}" for name in named):
            there = host.stat(image)
            if there and there.kind is FileKind.FILE:
                yield image, there.ctime_ns
