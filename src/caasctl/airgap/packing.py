"""Fills the folder of an air gap: what lacks is fetched and checked, what is there and right stays, what fails is told at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase

from caasctl import remote
from caasctl.airgap import charts, debs, lacking, registry
from caasctl.airgap.archive import archive
from caasctl.airgap.directory import (
    CHARTS,
    FILES,
    IMAGES,
    INDEX,
    MANIFEST,
    PACKAGES,
    SUMS,
    Entry,
    Manifest,
    open_directory,
    plain_name,
    read_sums,
    spoilt,
    sums_text,
)
from caasctl.airgap.wanted import CHART, FILE, IMAGE, PACKAGE, Item, Target, items, of_kubeadm
from caasctl.host import LiveHost
from caasctl.model import CaasError, RefusedError, UsageError
from caasctl.needs import packages
from caasctl.profile import NodeProfile
from caasctl.syntax import image_name
from caasctl.syntax.packages import Package

SPARE = 256 << 20  # bytes that stay free
Say = Callable[[str], None]


class Packing:
    """One run. out: the folder, absolute. step: gets what begins. After `run`, failures holds what could not be had."""

    def __init__(self, profile: NodeProfile, target: Target, out: str, step: Say, hear: Say) -> None:
        self._profile, self._target, self._out, self._step = profile, target, out, step
        self._host, self._tree = LiveHost(progress=hear), LiveHost(out, progress=hear)
        self._sums: dict[str, str] = {}
        self._entries: list[Entry] = []
        self._before: Manifest | None = None
        self.failures: list[CaasError] = []
        self.kept = 0
        self._work = "/work-" + hashlib.sha256(profile.metadata.name.encode()).hexdigest()[:12]

    def run(self) -> Manifest:
        """Raises CaasError where nothing can be begun; what fails alone is in `failures`."""
        wanted = packages.wanted(self._profile, self._target.distribution, self._target.architecture)
        self._sums = read_sums(self._tree)
        self._before = self._of_before()
        self._tree.remove_tree(self._work)
        try:
            kubeadm = self._packages(wanted)
            self._files({one.name: one.setting for one in wanted.downloads})
            self._images(kubeadm, self._chart())  # of Cilium every node runs pods
        finally:
            self._tree.remove_tree(self._work)
        return self._end()

    @property
    def folder(self) -> str:
        return self._out

    @property
    def digest(self) -> str:
        """Of SHA256SUMS as it was written last."""
        return hashlib.sha256(sums_text(self._sums).encode()).hexdigest()

    # -- one kind after the other -----------------------------------------------------------------------------------
    def _packages(self, wanted: packages.Wanted) -> tuple[str, ...] | None:
        """Returns what the kubeadm among them lists as its images; None where there is none."""
        self.failures += map(lacking.unsigned, wanted.unsigned)
        usable = tuple(one for one in wanted.repositories if one.fingerprint)
        left_out = {one.name for one in wanted.unsigned}
        chosen = tuple(one for one in wanted.packages if one.repository not in left_out)
        if kept := self._kept(chosen):
            self._entries += kept
            return self._ask_kubeadm()
        with self._told():
            self._step("packages: asks apt what is to be fetched")
            apt = debs.Apt(self._host, self._out + self._work + "/apt", f"{self._out}/{PACKAGES}")
            self._host.write(f"{self._out}/{PACKAGES}/partial/lock", b"")
            apt.prepare(usable)
            offered = apt.offered(chosen)
            names = tuple(debs.names_of(offered))
            self._drop(
                name for name in debs.names_of(self._tree.list(f"/{PACKAGES}") or ()) if not self._fits(name, offered)
            )
            self._room(sum(size for name, (size, _) in offered.items() if not self._tree.stat(f"/{PACKAGES}/{name}")))
            self._step(f"packages: {len(names)} with what they depend on")
            apt.fetch(chosen)
            self._indexed(names)
        return self._ask_kubeadm()

    def _kept(self, packages: tuple[Package, ...]) -> tuple[Entry, ...]:
        """The packages of an earlier run, where all that are wanted are among them and every file is as it was left."""
        there = self._before.of(PACKAGE) if self._before else ()
        fits = all(any(e.name == p.name and fnmatchcase(e.version, p.version or "*") for e in there) for p in packages)
        if not fits or not all(self._is_there(path) for path in (INDEX, *(entry.path for entry in there))):
            return ()
        return there

    def _fits(self, name: str, offered: dict[str, tuple[int, str]]) -> bool:
        """Whether a package need not be fetched: apt itself would go by its size alone."""
        said = offered.get(name, (0, ""))[1]
        return bool(said) and not spoilt(self._tree, f"{PACKAGES}/{name}", said)

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self._tree.remove(f"/{PACKAGES}/{name}")
            self._sums.pop(f"{PACKAGES}/{name}", None)

    def _indexed(self, names: tuple[str, ...]) -> None:
        for name in ("lock", "partial/lock"):
            self._tree.remove(f"/{PACKAGES}/{name}")
        self._tree.remove_folder(f"/{PACKAGES}/partial")
        text, versions = debs.index(self._host, self._out, names)
        self._write(INDEX, text)
        for name in names:
            self._note(f"{PACKAGES}/{name}")
            self._entries.append(Entry(PACKAGE, name.partition("_")[0], f"{PACKAGES}/{name}", versions[name]))

    def _ask_kubeadm(self) -> tuple[str, ...] | None:
        deb = next((entry.path for entry in self._entries if entry.name == "kubeadm"), "")
        if deb:
            with self._told():
                into = f"{self._out}{self._work}/kubeadm"
                self._host.write(f"{into}/none", b"")
                self._host.execute("dpkg-deb", "--extract", f"{self._out}/{deb}", into)
                return of_kubeadm(self._host, self._profile, f"{into}/usr/bin/kubeadm")
        return of_kubeadm(self._host, self._profile)

    def _files(self, settings: Mapping[str, str]) -> None:
        """settings: of what the packages' part of the profile names."""
        for item in self._of(FILE):
            if item.why_unknown:
                self.failures.append(lacking.left_out(item))
                continue
            path = f"{FILES}/{plain_name(item.source.partition('?')[0].rpartition('/')[2])}"  # releases are told by it
            with self._told():
                if not self._is_there(path, item.sha256):
                    self._step(f"file: {item.name}")
                    self._store(path, self._fetched(item.source, settings.get(item.name, "spec.kata")), item.sha256)
                self._entries.append(Entry(FILE, item.name, path))

    def _fetched(self, source: str, setting: str) -> Iterator[bytes]:
        if source.startswith("https://"):
            return remote.download(source, self._host.say, f"{setting}.source")
        return self._host.blocks(source)

    def _chart(self) -> tuple[str, ...] | None:
        """Returns the images that the chart names; None where that cannot be told."""
        chart = charts.chart_of(self._profile)
        path, work = f"{CHARTS}/{charts.file_name(chart)}", f"{self._out}{self._work}"
        with self._told():
            if chart.local or not self._is_there(path):
                self._step(f"chart: cilium {chart.version}")
                self._store(path, self._host.blocks(charts.pull(self._host, chart, f"{work}/chart")))
            self._entries.append(Entry(CHART, "cilium", path, chart.version))
            return charts.images(self._host, self._profile, f"{self._out}/{path}", f"{work}/values.yaml")
        return None

    def _images(self, kubeadm: tuple[str, ...] | None, chart: tuple[str, ...] | None) -> None:
        wanted = items(self._profile, self._target, kubeadm, chart)
        for item in (one for one in wanted if one.kind == IMAGE and one.why_unknown):
            self.failures.append(lacking.left_out(item))
        for item in (one for one in wanted if one.kind == IMAGE and not one.why_unknown):
            with self._told():
                self._image(item)

    def _image(self, item: Item) -> None:
        image = image_name.parse(item.name)
        if image is None:
            raise CaasError(
                f"{item.name} is no name of an image",
                cause="the profile or the chart gives it",
                fix="correct it in the profile",
            )
        path = f"{IMAGES}/{image.file_name}"
        if not self._had_names(path, image.names) or not self._is_there(path):
            self._step(f"image: {item.name}")
            found = registry.find(
                image,
                self._target.architecture,
                registry.sources(self._host, self._profile.spec.containerd.registries, image),
            )
            self._room(found.size)
            self._store(path, archive(found))
        self._entries.append(Entry(IMAGE, item.name, path, names=image.names))

    def _had_names(self, path: str, names: tuple[str, ...]) -> bool:
        """Whether a file is for just these names, as far as the manifest of an earlier run tells: they are written into it."""
        there = self._before.of(IMAGE) if self._before else ()
        return all(entry.names == names for entry in there if entry.path == path)

    def _of_before(self) -> Manifest | None:
        """What an earlier run left, for this same target."""
        try:
            found = open_directory(self._out).manifest
        except RefusedError:
            return None
        here = self._target.distribution
        same = (found.distribution, found.release, found.architecture) == (
            here.id,
            here.codename or here.version_id,
            self._target.architecture,
        )
        if found.architecture != self._target.architecture:  # the names of images are the same for all
            self._sums = {path: digest for path, digest in self._sums.items() if not path.startswith(f"{IMAGES}/")}
        return found if same else None

    # -- what is kept, and what is told -----------------------------------------------------------------------------
    def _of(self, kind: str) -> tuple[Item, ...]:
        return tuple(item for item in items(self._profile, self._target, None, None) if item.kind == kind)

    def _is_there(self, path: str, sha256: str = "") -> bool:
        said = sha256 or self._sums.get(path, "")
        good = bool(said) and self._sums.get(path) == said and not spoilt(self._tree, path, said)
        self.kept += good
        if not good:
            self._sums.pop(path, None)
        return good

    def _store(self, path: str, blocks: Iterator[bytes], sha256: str = "") -> None:
        told = hashlib.sha256()

        def passing() -> Iterator[bytes]:
            for block in blocks:
                told.update(block)
                yield block
            if sha256 and told.hexdigest() != sha256:
                raise CaasError(f"{path} is not what the profile's SHA-256 says", cause=f"it has {told.hexdigest()}",
                                fix="check the profile's sha256, and where the file comes from")  # fmt: skip

        self._tree.store(f"/{path}", passing(), 0o644)
        self._sums[path] = told.hexdigest()
        self._save()

    def _note(self, path: str) -> None:
        told = hashlib.sha256()
        for block in self._tree.blocks(f"/{path}"):
            told.update(block)
        self._sums[path] = told.hexdigest()

    def _write(self, path: str, text: str) -> None:
        self._tree.write(f"/{path}", text.encode())
        self._sums[path] = hashlib.sha256(text.encode()).hexdigest()

    def _save(self) -> None:
        self._tree.write(f"/{SUMS}", sums_text(self._sums).encode())

    def _room(self, size: int) -> None:
        free = self._host.free_bytes(self._out)
        if size + SPARE > free:
            raise UsageError(f"there is no room for it in {self._out}", cause=f"it takes {size >> 20} MiB, {free >> 20} MiB are free, and {SPARE >> 20} stay free",
                             fix=f"free space there, or name another folder with --out; what is in {self._out} stays good")  # fmt: skip

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What fails is told at the end; a full disk ends all."""
        try:
            yield
        except UsageError:
            raise
        except CaasError as error:
            self.failures.append(error)

    def _end(self) -> Manifest:
        """Without a part that could not be had the folder says so itself."""
        release = self._target.distribution
        unnamed = tuple(error.problem for error in self.failures if isinstance(error, lacking.UnnamedError))
        manifest = Manifest(
            self._profile.metadata.name, self._profile.spec.kubernetes.version, release.id, release.codename or release.version_id,
            self._target.architecture, tuple(self._entries), tuple(error.problem for error in self.failures if error.problem not in unnamed),
            unnamed, charts.values_digest(self._profile),
        )  # fmt: skip
        self._write(MANIFEST, manifest.text())
        if not manifest.lacks:
            self._clear({entry.path for entry in self._entries} | {MANIFEST, INDEX})
        self._save()
        return manifest

    def _clear(self, used: set[str]) -> None:
        """What an older profile needed goes; where something failed all stays, for the next run."""
        for folder in (CHARTS, FILES, IMAGES):
            for name in self._tree.list(f"/{folder}") or ():
                if f"{folder}/{name}" not in used:
                    self._tree.remove(f"/{folder}/{name}")
        self._sums = {path: digest for path, digest in self._sums.items() if path in used}
