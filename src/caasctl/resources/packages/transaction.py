"""AptLists, AptPackages, AptHolds: apt's lists read anew, packages installed in one transaction, and kept at their version."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import field

from caasctl.frozen import dataclass
from caasctl.model import CaasError, CommandError, Unreadable
from caasctl.protocol import Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.packages import apt_get
from caasctl.resources.packages.locked import held, patiently
from caasctl.resources.packages.there import installed, kin, missing, path_of
from caasctl.syntax.packages import Package

_CURRENT, _OLD = "read", "to be read anew"
_HELD, _LOOSE, _OTHER = "held", "not held", "no package"
_RULE = "simulated first, and what apt would remove or downgrade is refused"
_INTERRUPTED = "interrupted, "
_UNREACHED = re.compile(
    r"Could not (?:resolve|connect|handshake)|Unable to connect|Cannot initiate|[Cc]onnection (?:failed|refused|reset|timed out)"
    r"|Temporary failure|[Nn]o route|unreachable|timed out|did not end in|Proxy"
)  # in apt's words of a fetch that failed
_MARK_S = 60.0


@dataclass(frozen=True)
class AptLists:
    """Read anew wherever something is to be installed: lists that are old name files that the mirror no longer has."""

    packages: tuple[Package, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    name: str = "packages:lists"
    folder: str = ""  # of the flat repository that alone is asked

    def look(self, host: Reader) -> State:
        try:
            return Known(_OLD if missing(host, self.packages) else _CURRENT)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        return now if isinstance(now, Unknown) else Known(_CURRENT)

    def apply(self, host: Writer, now: State) -> Outcome:  # noqa: ARG002 - the same for every state
        """One repository of somebody's that is broken is nothing to stop for, as long as what is wanted is on offer."""
        failed: CommandError | None = None
        try:
            apt_get.update(host, self.folder)
        except CommandError as error:
            failed = error
        lacking = apt_get.offer(host, missing(host, self.packages), self.folder).lacking
        if lacking and failed:
            raise failed if held(failed) else _unread(lacking, failed)
        if lacking:
            raise _lacks(self.packages, lacking)
        if failed:
            host.say(f"warning: apt-get update failed, but has what is wanted: {failed.cause}")
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="apt's lists are what the repositories hold")


# Package -> version that apt chose; why these may not be installed, None where they may
Judge = Callable[[Mapping[str, str]], CaasError | None]


@dataclass(frozen=True)
class AptPackages:
    """What is not there, in one transaction of exact versions; what is there stays as it is, whatever its version.

    judge: pure; asked before anything is installed.
    """

    packages: tuple[Package, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    name: str = "packages:apt"
    folder: str = ""  # of the flat repository that alone is asked
    judge: Judge = field(default=lambda _: None, compare=False)

    def look(self, host: Reader) -> State:
        """parts: a line for each package that is there. text: `would install NAME VERSION` and so on, as far as apt tells today."""
        try:
            lines = {package.name: _line(host, package) for package in self.packages}
            absent = [package for package in self.packages if not lines[package.name]]
            there = Known("".join(filter(None, lines.values())))
            return Known(_would(host, absent, self.folder, self.judge) if absent else "", parts=((self.name, there),))
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        there, chosen = _by_name(now), dict(step.split()[2:4] for step in now.text.splitlines())
        lines = (there.get(p.name) or _wanted(p, chosen.get(p.name, ""), self.folder) for p in self.packages)
        return Known(now.text, parts=((self.name, Known("".join(line.replace(_INTERRUPTED, "") for line in lines))),))

    def told(self, now: State) -> str:
        """What comes beside, and by which rule."""
        names = {package.name for package in self.packages}
        steps = [step.split()[1:4] for step in now.text.splitlines()] if isinstance(now, Known) else []
        new = [f"{name} {version}" for verb, name, version in steps if verb == "install" and name not in names]
        newer = [f"{name} to {version}" for verb, name, version in steps if verb == "upgrade"]
        beside = (
            f"{word} {', '.join(said)}"
            for word, said in (("for these apt also installs", new), ("and upgrades", newer))
            if said
        )
        return "; ".join((*beside, f"one transaction of exact versions; {_RULE}"))

    def apply(self, host: Writer, now: State) -> Outcome:
        if apt_get.interrupted(host) or any(_INTERRUPTED in line for line in _by_name(now).values()):
            host.say("dpkg was interrupted: what it unpacked is configured first")
            apt_get.configure(host)
        apt_get.complete(host, self.folder)
        absent = missing(host, self.packages)
        if absent:
            chosen = self._chosen(host, absent)
            host.say(f"installing {', '.join(f'{name} {version}' for name, version in chosen.items())}")
            apt_get.install(host, chosen, self.folder)
        return Done()

    def undo(self, now: State) -> Undo:
        """Only what was not there: dpkg keeps by itself what something else has come to need."""
        if not isinstance(now, Known):
            return Undo(nothing="not known before")
        there = _by_name(now)
        absent = [package.name for package in self.packages if package.name not in there]
        beside = [step.split()[2] for step in now.text.splitlines() if step.startswith("would install ")]
        names = sorted({*absent, *beside})
        if not names:
            return Undo(nothing="nothing new was installed")
        loses = (
            "the images and containers of the containerd that this run installed"
            if {"containerd", "containerd.io"} & {*names}
            else ""
        )
        return Undo(commands=(("dpkg", "--purge", *names),), loses=loses)

    def _chosen(self, host: Reader, absent: tuple[Package, ...]) -> dict[str, str]:
        """Exact versions, once it is seen that apt takes nothing away for them. Raises CaasError, Unreadable."""
        found = apt_get.offer(host, absent, self.folder)
        if found.lacking:
            raise _lacks(self.packages, found.lacking)
        why = self.judge(found.chosen) or apt_get.refused(*apt_get.simulated(host, found.chosen, self.folder))
        if why:
            raise why
        return dict(found.chosen)


@dataclass(frozen=True)
class AptHolds:
    """names: packages that no upgrade of the host moves. What is there without a package needs no hold."""

    packages: tuple[Package, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    name: str = "packages:holds"

    def look(self, host: Reader) -> State:
        try:
            there = installed(host, self.packages)
            lines = (_hold(host, p, held=there[p.name].held if p.name in there else None) for p in self.packages)
            others = installed(host, [Package(owner) for p in self.packages if (owner := kin(host, p))])
            more = (f"{name} {_HELD if found.held else _LOOSE}\n" for name, found in others.items())
            return Known("", parts=((self.name, Known("".join([*lines, *more]))),))
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        loose, there = self._loose(now), _by_name(now)
        lines = (f"{name} {_HELD}\n" if name in loose else there[name] for name in self._names(there))
        return Known("", parts=((self.name, Known("".join(lines))),))

    def apply(self, host: Writer, now: State) -> Outcome:
        patiently(host, "apt-mark", "hold", *self._loose(now), timeout_s=_MARK_S)
        return Done()

    def undo(self, now: State) -> Undo:
        names = self._loose(now)
        return Undo(commands=(("apt-mark", "unhold", *names),)) if names else Undo(nothing="all were held before")

    def _loose(self, now: State) -> tuple[str, ...]:
        """Those that are not held, or not there yet."""
        there = _by_name(now)
        return tuple(name for name in self._names(there) if there.get(name, _LOOSE).strip().endswith(_LOOSE))

    def _names(self, there: Mapping[str, str]) -> tuple[str, ...]:
        """Those that are wanted, and what is there in the place of one."""
        return tuple(dict.fromkeys([*(p.name for p in self.packages), *there]))


def _by_name(now: State) -> dict[str, str]:
    """The lines of a state of ours, by the packages that they begin with."""
    text = "".join(part.text for _, part in now.parts if isinstance(part, Known)) if isinstance(now, Known) else ""
    return {line.split()[0].rstrip(":"): line for line in text.splitlines(keepends=True)}


def _hold(host: Reader, package: Package, *, held: bool | None) -> str:
    if held is None:
        return f"{package.name} {_OTHER}\n" if path_of(host, package.program) else ""
    return f"{package.name} {_HELD if held else _LOOSE}\n"


def _line(host: Reader, package: Package) -> str:
    """The package's version, or what is there in its place; "" for nothing. Raises Unreadable."""
    found = installed(host, (package,)).get(package.name)
    if found:
        return f"{package.name} {'' if found.whole else _INTERRUPTED}{found.version}\n"
    path = path_of(host, package.program)
    owner = kin(host, package)
    return f"{package.name}: {path}, of {f'the package {owner}' if owner else _OTHER}\n" if path else ""


def _wanted(package: Package, chosen: str, folder: str) -> str:
    of = f"the repository {package.repository}" if package.repository else "the distribution"
    of = f"the folder {folder}" if folder else of  # apt is told of nothing else
    return f"{package.name} {chosen or package.version or 'as offered'}, of {of}\n"


def _would(host: Reader, absent: list[Package], folder: str, judge: Judge) -> str:
    """What apt would do, a line each; "" before its lists tell. Raises CaasError where it would take something away, or by `judge`."""
    try:
        found = apt_get.offer(host, absent, folder)
        if not found.chosen:
            return ""
        steps, cannot = apt_get.simulated(host, found.chosen, folder)
    except Unreadable:  # another host's tree; the real run asks again
        return ""
    why = judge(found.chosen) or apt_get.refused(steps, "" if found.lacking else cannot)
    if why:
        raise why
    said = (("install", steps.install), ("upgrade", steps.upgrade))
    return "".join(f"would {verb} {step.name} {step.version}\n" for verb, listed in said for step in listed)


def _unread(lacking: Mapping[str, tuple[str, ...]], failed: CommandError) -> CaasError:
    said = [line for line in failed.cause.splitlines() if line.startswith(("E: ", "W: "))]
    reach = (
        "see that this host reaches them: its DNS servers and routes, a firewall, spec.proxy in the profile; "
        "`apt-get update` shows what apt says. For a host without a way out there is `caasctl airgap`"
    )
    return CaasError(
        f"apt cannot read all repositories, and none that it has read has {', '.join(lacking)}",
        cause="\n".join(said) or failed.cause,
        fix=reach
        if _UNREACHED.search(failed.cause)
        else "mend what apt says, which `apt-get update` shows whole, then run the same command again",
    )


def _lacks(packages: tuple[Package, ...], lacking: Mapping[str, tuple[str, ...]]) -> CaasError:
    wanted = {package.name: package for package in packages}
    said = [f"{name} {wanted[name].version}".strip() for name in lacking]
    has = "; ".join(f"of {name} there is {', '.join(versions[:5]) or 'nothing'}" for name, versions in lacking.items())
    return CaasError(
        f"no repository of this host has {', '.join(said)}",
        cause=has,
        fix="name a version that there is in spec.kubernetes.version, or a repository that has it in spec.packages; `apt-cache policy NAME` shows what apt sees",
    )
