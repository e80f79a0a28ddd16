"""AptLists, AptPackages, AptHolds: apt's lists read anew, packages installed in one transaction, and kept at their version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from caasctl.model import CaasError, CommandError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, State, Undo, Unknown, Writer
from caasctl.resources.packages import apt_get
from caasctl.resources.packages.there import installed, missing, path_of
from caasctl.syntax.packages import Package

_CURRENT, _OLD = "all is installed", "as old as the last `apt-get update`"
_HELD, _LOOSE, _OTHER = "held", "not held", "no package"
_BROUGHT = "apt also brings"
_INTERRUPTED = "interrupted, "


@dataclass(frozen=True)
class AptLists:
    """Read anew wherever something is to be installed: lists that are old name files that the mirror no longer has."""

    packages: tuple[Package, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    name: str = "packages:lists"

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
            apt_get.update(host)
        except CommandError as error:
            failed = error
        lacking = apt_get.offer(host, missing(host, self.packages)).lacking
        if lacking and failed:
            raise failed
        if lacking:
            raise _lacks(self.packages, lacking)
        if failed:
            host.say(f"warning: apt-get update failed, but has what is wanted: {failed.cause}")
        return Done()

    def undo(self, now: State) -> Undo:  # noqa: ARG002 - the same for every state
        return Undo(nothing="apt's lists are what the repositories hold")


@dataclass(frozen=True)
class AptPackages:
    """What is not there, in one transaction of exact versions; what is there stays as it is, whatever its version."""

    packages: tuple[Package, ...]
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    name: str = "packages:apt"

    def look(self, host: Reader) -> State:
        """text: what apt would bring, remove or downgrade beside, as far as its lists tell today."""
        try:
            parts = tuple((package.name, _state(host, package)) for package in self.packages)
            absent = [package for package in self.packages if dict(parts)[package.name] == Absent()]
            return Known(_beside(host, absent) if absent else "", parts=parts)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        was = dict(now.parts)
        return Known(now.text, parts=tuple((p.name, _wanted(p, was.get(p.name, Absent()))) for p in self.packages))

    def told(self, now: State) -> str:
        beside = now.text.replace("\n", ", ") if isinstance(now, Known) else ""
        rule = "what apt would remove or downgrade is refused with the list"
        return "; ".join(filter(None, (beside, f"one transaction of exact versions, simulated first: {rule}")))

    def apply(self, host: Writer, now: State) -> Outcome:
        was = dict(now.parts) if isinstance(now, Known) else {}
        if any(isinstance(state, Known) and state.text.startswith(_INTERRUPTED) for state in was.values()):
            host.say("dpkg was interrupted: what it unpacked is configured first")
            apt_get.configure(host)
        absent = missing(host, self.packages)
        if absent:
            chosen = self._chosen(host, absent)
            host.say(f"installing {', '.join(f'{name} {version}' for name, version in chosen.items())}")
            apt_get.install(host, chosen)
        return Done()

    def undo(self, now: State) -> Undo:
        """Only what was not there: dpkg keeps by itself what something else has come to need."""
        if not isinstance(now, Known):
            return Undo(nothing="not known before")
        absent = [name for name, state in now.parts if state == Absent()]
        beside = [line.split()[1] for line in now.text.splitlines() if line.startswith("brings ")]
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
        found = apt_get.offer(host, absent)
        if found.lacking:
            raise _lacks(self.packages, found.lacking)
        why = apt_get.refused(*apt_get.simulated(host, found.chosen))
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
            parts = (
                (p.name, _hold(host, p, held=there[p.name].held if p.name in there else None)) for p in self.packages
            )
            return Known("", parts=tuple(parts))
        except Unreadable as unreadable:
            return Unknown(str(unreadable))

    def target(self, now: State) -> State:
        if not isinstance(now, Known):
            return now
        was = dict(now.parts)
        kept = (was.get(p.name, Absent()) for p in self.packages)
        parts = ((p.name, w if w == Known(_OTHER) else Known(_HELD)) for p, w in zip(self.packages, kept, strict=True))
        return Known("", parts=tuple(parts))

    def apply(self, host: Writer, now: State) -> Outcome:
        host.execute("apt-mark", "hold", *_loose(now))
        return Done()

    def undo(self, now: State) -> Undo:
        names = _loose(now)
        return Undo(commands=(("apt-mark", "unhold", *names),)) if names else Undo(nothing="all were held before")


def _loose(now: State) -> tuple[str, ...]:
    parts = now.parts if isinstance(now, Known) else ()
    return tuple(name for name, state in parts if state in (Known(_LOOSE), Absent()))


def _hold(host: Reader, package: Package, *, held: bool | None) -> State:
    if held is None:
        return Known(_OTHER) if path_of(host, package.program) else Absent()
    return Known(_HELD if held else _LOOSE)


def _state(host: Reader, package: Package) -> State:
    """The package's version, what is there in its place, or Absent. Raises Unreadable."""
    found = installed(host, (package,)).get(package.name)
    if found:
        return Known(found.version if found.whole else f"{_INTERRUPTED}{found.version}")
    path = path_of(host, package.program)
    return Known(f"{path}, {_OTHER}") if path else Absent()


def _wanted(package: Package, now: State) -> State:
    if isinstance(now, Known):
        return Known(now.text.removeprefix(_INTERRUPTED))
    of = f"the repository {package.repository}" if package.repository else "the distribution"
    return Known(f"{package.version or 'as offered'}, of {of}")


def _beside(host: Reader, absent: list[Package]) -> str:
    """What apt would do beside, a line each. Raises CaasError where it would take something away; "" before its lists tell."""
    try:
        found = apt_get.offer(host, absent)
        if not found.chosen:
            return ""
        steps, cannot = apt_get.simulated(host, found.chosen)
    except Unreadable:  # another host's tree; the real run asks again
        return ""
    why = apt_get.refused(steps, "" if found.lacking else cannot)
    if why:
        raise why
    names = {package.name for package in absent}
    new = [f"brings {step.name} {step.version}" for step in steps.install if step.name not in names]
    return "\n".join([*new, *(f"upgrades {step.name} to {step.version}" for step in steps.upgrade)])


def _lacks(packages: tuple[Package, ...], lacking: Mapping[str, tuple[str, ...]]) -> CaasError:
    wanted = {package.name: package for package in packages}
    said = [f"{name} {wanted[name].version}".strip() for name in lacking]
    has = "; ".join(f"of {name} there is {', '.join(versions[:5]) or 'nothing'}" for name, versions in lacking.items())
    return CaasError(
        f"no repository of this host has {', '.join(said)}",
        cause=has,
        fix="name a version that there is in spec.kubernetes.version, or a repository that has it in spec.packages; `apt-cache policy NAME` shows what apt sees",
    )
