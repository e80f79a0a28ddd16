"""CDI's files one by one and against each other: valid, old enough for Kata, and no name given twice."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator

from caasctl.facts.cdi import CdiFile, CdiSpecs, VfioCharacterDevices
from caasctl.facts.gpu import PciFunctions
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, failed, passed, unknown, warned
from caasctl.needs.gpu.cdi import behind_nodes, hands_out_gpus
from caasctl.profile import NodeProfile
from caasctl.syntax.cdi.lint import Source, Way, named_in, passes_through, ways
from caasctl.syntax.cdi.passthrough import DIRECTORIES, WRITTEN
from caasctl.syntax.cdi.spec import Spec
from caasctl.syntax.cdi.versions import KATA_READS, VERSIONS, newer

_SPECIFICATION = "https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md"


def _make(facts: Facts, profile: NodeProfile) -> Callable[..., Finding]:
    """FAIL where pods are to get GPUs, else WARN: containerd goes on without the file's devices."""
    return failed if hands_out_gpus(facts, profile) else warned


def _aside(path: str) -> Fix:
    """Readers take .json and .yaml only, so that another name is as good as none, and can be taken back."""
    return Fix(f"mv {shlex.quote(path)} {shlex.quote(path + '.off')}")


def _from_the_future(file: CdiFile) -> bool:
    return newer(file.read.version, VERSIONS[-1])


@check(
    "cdi.parses",
    "Every CDI specification is valid",
    reads=(CdiSpecs,),
    why="Kata's Go runtime reads all files of both directories for each pod with a GPU and gives up on a bad one, whoever wrote it: "
    "`CDI device injection failed`, `CDI registry refresh failed`. containerd leaves out that file's devices only.",
    fix="Correct the file, or give it a name that ends neither in .json nor in .yaml.",
    source=_SPECIFICATION,
)
def parses(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """The files *.json and *.yaml in /etc/cdi and /var/run/cdi, judged by the rules of CDI's library."""
    found = facts[CdiSpecs]
    for file in found.files:
        if file.unread:
            yield unknown(file.unread, subject=file.path)
        elif file.read.spec:
            yield passed(_summary(file.read.spec), subject=file.path)
        elif not _from_the_future(file):  # cdi.version's
            yield _invalid(file, _make(facts, profile))
    for path in found.ignored:
        yield warned("ends in .yml, which nobody reads", wanted="a name that ends in .yaml or .json", subject=path,
                     fix=Fix(f"mv {shlex.quote(path)} {shlex.quote(path.removesuffix('.yml') + '.yaml')}"),
                     cause="Readers of CDI take *.json and *.yaml only: the devices of this file are known to nobody.")  # fmt: skip


def _summary(spec: Spec) -> str:
    count = len(spec.devices)
    return f"{spec.kind}, {count} device{'s' * (count != 1)}, version {spec.version}"


def _invalid(file: CdiFile, make: Callable[..., Finding]) -> Finding:
    first, *others = file.read.problems
    return make(
        first + (f", and {len(others)} more" if others else ""),
        wanted="a valid specification",
        subject=file.path,
        fix=Fix("caasctl init-node") if file.ours else _aside(file.path),
        fixed_by="gpu" if file.ours else "",
        evidence=tuple(Evidence(file.path, problem) for problem in file.read.problems[:5]),
    )


@check(
    "cdi.version",
    "Kata can read the version of every CDI specification",
    reads=(CdiSpecs,),
    why=f"Kata's Go runtime carries CDI's library {KATA_READS}: it refuses a newer file with `invalid version`, and with that file "
    "every pod that asks for a GPU.",
    fix=f"Have the file written as version {KATA_READS} or older, or take it away.",
    source="kata-containers: src/runtime/go.mod of 4.1.0; container-device-interface v0.6.0: pkg/cdi/version.go",
)
def version(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """CdiVersion of the files in /etc/cdi and /var/run/cdi, where the profile gives GPUs to Kata pods."""
    if not hands_out_gpus(facts, profile):
        return
    for file in facts[CdiSpecs].files:
        if not file.read.spec and not _from_the_future(file):
            continue  # cdi.parses'
        if newer(file.read.version, KATA_READS):
            yield failed(f"cdiVersion {file.read.version}", wanted=f"{KATA_READS} or older", subject=file.path,
                         fix=_older(file), evidence=(Evidence(file.path, f"cdiVersion: {file.read.version}"),))  # fmt: skip
        else:
            yield passed(f"cdiVersion {file.read.version}", subject=file.path)


def _older(file: CdiFile) -> Fix:
    """Another number where the file uses nothing new; else it has to go, as has one of what caasctl passes through."""
    spec = file.read.spec
    if spec is None or newer(spec.needs, KATA_READS) or passes_through(spec):
        return _aside(file.path)
    wanted = spec.needs if newer(spec.needs, WRITTEN) else WRITTEN
    was = file.read.version.replace(".", r"\.")
    return Fix(f"sed -i '/cdiVersion/s/{was}/{wanted}/' {shlex.quote(file.path)}")


@check(
    "cdi.duplicates",
    "No device has two CDI names, no CDI name two files",
    reads=(CdiSpecs, PciFunctions, VfioCharacterDevices),
    why="A name in two files of one directory is a `conflicting device`: nobody gets it, and Kata gives up on all. A GPU of two names is "
    "given away twice: `Duplicated device path` in one pod, `Device or resource busy` in the second.",
    fix="Leave each device to one writer and one name.",
    source="container-device-interface: pkg/cdi/cache.go; kata-containers#4211",
)
def duplicates(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Names of all files in /etc/cdi and /var/run/cdi; groups and character devices of their nodes, in /sys."""
    sources = facts[CdiSpecs].sources
    others = tuple(source for source in sources if not passes_through(source.spec))  # of the rest cdi.one_writer tells
    said = [*_conflicts(others, _make(facts, profile)), *_reached_twice(sources, facts)]
    yield from said
    if sources and not said:
        yield passed(f"{sum(len(source.spec.devices) for source in sources)} names, none twice")


def _conflicts(sources: tuple[Source, ...], make: Callable[..., Finding]) -> Iterator[Finding]:
    """One finding for each set of files that share names."""
    shared: dict[tuple[str, ...], list[str]] = {}
    for name, files in named_in(sources).items():
        if len(files) > 1:
            shared.setdefault(tuple(file.path for file in files), []).append(name)
    for paths, names in shared.items():
        what = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        folders = [path.rpartition("/")[0] for path in paths]
        if len(set(folders)) < len(folders):
            yield make(f"{what} in {' and '.join(paths)}", wanted="each name in one file", subject=names[0].partition("=")[0],
                       fix=_aside(paths[-1]), cause="Nobody gets a name that two files of one directory have (`conflicting device`), "
                       "and Kata's Go runtime then gives no pod a GPU.")  # fmt: skip
        else:
            yield warned(
                f"{what} in {' and '.join(paths)}",
                wanted="each name in one file",
                subject=names[0].partition("=")[0],
                fix=_aside(paths[0]),
                cause=f"{DIRECTORIES[-1]} wins, so that {paths[0]} says nothing, until a reboot empties {DIRECTORIES[-1]}.",
            )


def _reached_twice(sources: tuple[Source, ...], facts: Facts) -> Iterator[Finding]:
    """One finding for the functions of a group, which have the same ways."""
    together: dict[tuple[Way, ...], list[str]] = {}
    for address, found in ways(sources, behind_nodes(facts)).items():
        if len(found) > 1:
            together.setdefault(found, []).append(address)
    for found, addresses in together.items():
        yield warned(
            _both(tuple(dict.fromkeys(way.name for way in found)), tuple(dict.fromkeys(way.node for way in found))),
            wanted="one name and one node for each function",
            subject=", ".join(addresses),
            fix=_one_of(sources, found),
            cause="It is given away twice: `Duplicated device path` where one pod has both names, `Device or resource busy` for the "
            "second of two pods.",
            evidence=tuple(Evidence(way.name, way.node) for way in found),
        )


def _both(names: tuple[str, ...], nodes: tuple[str, ...]) -> str:
    if len(names) == 1:
        return f"{names[0]} gives it twice: as {' and '.join(nodes)}"
    return f"given as {' and '.join(names)}" + (f", by {' and '.join(nodes)}" if len(nodes) > 1 else "")


def _one_of(sources: tuple[Source, ...], found: tuple[Way, ...]) -> Fix:
    """Of several files the one to go; in one file its writer has to choose."""
    paths = [source.path for source in sources if any(way.name in source.spec.names for way in found)]
    if len(paths) > 1:
        return _aside(paths[0])
    return Fix(f"keep one of {', '.join(dict.fromkeys(way.name for way in found))} in {paths[0]}", FixKind.EDIT)


CHECKS: tuple[Check, ...] = (parses, version, duplicates)
