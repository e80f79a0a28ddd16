"""HelmRelease: the chart's version, the values and the state that they are in, as one resource."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from caasctl.formats import dump_yaml
from caasctl.frozen import dataclass
from caasctl.model import CaasError, Unreadable
from caasctl.protocol import Absent, Done, Known, Outcome, Reader, Resource, State, Undo, Unknown, Writer
from caasctl.resources.helm import commands, refusals, under_way
from caasctl.resources.helm.commands import NAME, TIMEOUT_S, WHERE, Chart, Seen
from caasctl.resources.helm.lifeline import Lifeline, note, remove_links
from caasctl.resources.helm.watch import LostError, Patience
from caasctl.syntax import remains
from caasctl.syntax.cluster_health import READY
from caasctl.syntax.helm_release import Release, Revision
from caasctl.syntax.helm_values import at, canonical

IPSEC_KEYS = "cilium-ipsec-keys"
_STAGE = "/run/caasctl/stage/helm"
_STAGED_KEYS = f"{_STAGE}/cilium-ipsec-keys.yaml"


@dataclass(frozen=True)
class HelmRelease:
    """members: the one file of values, read by helm. address: this node's. direct: as for Writer.execute."""

    chart: Chart
    values: Mapping[str, Any]
    members: tuple[Resource, ...]
    address: str = ""
    direct: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    secret: bool = False
    reboots: bool = False
    patience: Patience = field(default_factory=Patience)
    then: str = (
        "watched until node and CoreDNS are ready; taken back if a default gateway or an SSH session of before is lost"
    )

    @property
    def name(self) -> str:
        return f"helm:{NAME}"

    # -- as it is and as it should be -------------------------------------------------------------------------------
    def look(self, host: Reader) -> State:
        files = tuple((_path(member), member.look(host)) for member in self.members)
        lost = [state.reason for _, state in files if isinstance(state, Unknown)]
        try:
            if lost:
                return Unknown("; ".join(lost))
            if host.stat(commands.ADMIN) is None:  # no cluster yet
                return _none(files)
            seen = commands.see(host, self.address)
            busy = under_way.others(host, seen.release)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        if not seen.release.status and seen.agent is None:
            return _none(files)
        good = seen.release.good
        back = (("revision", Known(str(good.number))),) if good else ()
        theirs = (("busy", Known(busy)),) if busy else ()
        parts = (("values", _values(seen.values)), *back, *theirs, *files)
        return Known(f"{refusals.line(seen)}, {seen.obstacle or READY}", parts=parts)

    def target(self, now: State) -> State:
        """Raises RefusedError where the way there is not safe."""
        if isinstance(now, Unknown):
            return now
        self.chart.refuse_password()
        if isinstance(now, Known):
            under_way.refuse(_part(now, "busy"), _part(now, "revision"))
            refusals.refuse(now, self.chart.version, self.values)
        states = dict(now.parts) if isinstance(now, Known) else {}
        told = {"values": _values(self.values), "revision": states.get("revision", Absent())}  # never a difference
        parts = tuple((name, state) for name, state in told.items() if name in states)
        files = tuple((_path(m), m.target(states.get(_path(m), Absent()))) for m in self.members)
        return Known(f"{refusals.wanted(self.chart.version)}, {READY}", parts=(*parts, *files))

    # -- on the way -------------------------------------------------------------------------------------------------
    def apply(self, host: Writer, now: State) -> Outcome:
        self.target(now)  # refuses what is not safe
        self._check_chart(host)
        try:
            seen = commands.see(host, self.address)
            busy = under_way.others(host, seen.release)
        except Unreadable as unreadable:
            raise CaasError("the cluster cannot be asked about Cilium", cause=str(unreadable),
                            fix="mend that, then run the same command again") from unreadable  # fmt: skip
        under_way.refuse(busy, str(seen.release.good.number) if seen.release.good else "")
        self._write(host, now)
        if self._is_installed(now):
            self.patience.wait(host, self.address, Lifeline())
            return Done()
        if seen.release.status and not isinstance(self._file(now), Known):
            host.say(f"takes over the release {NAME} that another tool made: {refusals.line(seen)}")
        self._install(host, seen)
        return Done()

    def undo(self, now: State) -> Undo:
        files = {
            path: was for member in self.members for path, was in (member.undo(self._file(now)).files or {}).items()
        }
        revision = _part(now, "revision")
        if self._is_installed(now):
            return Undo(files, nothing="the release stays as it is")
        if revision:
            return Undo(files, ((*_helm("rollback"), revision, *WHERE),))
        left = "Cilium's interfaces and its programs in the kernel stay until the next boot"
        uninstall = (*_helm("uninstall"), "--ignore-not-found", *WHERE)
        return Undo(
            files, (remains.CNI_BACK,), left, (uninstall,), "the network of every pod", folders=remains.CNI_FOLDERS
        )

    def _is_installed(self, now: State) -> bool:
        """Whether the wanted chart is deployed with the wanted values: then there is only to wait."""
        release = now.text.partition(", ")[0] if isinstance(now, Known) else ""
        return release == refusals.wanted(self.chart.version) and _part(now, "values") == _values(self.values).text

    def _file(self, now: State) -> State:
        states = dict(now.parts) if isinstance(now, Known) else {}
        return states.get(_path(self.members[0]), Absent())

    def _check_chart(self, host: Writer) -> None:
        if not self.chart.local:
            return
        try:
            found = commands.chart_version(host, self.chart)
        except Unreadable as unreadable:
            raise CaasError(f"the chart {self.chart.name} cannot be read", cause=str(unreadable),
                            fix="spec.cilium.chart in the profile: the path of Cilium's chart, a folder or .tgz") from unreadable  # fmt: skip
        if found != self.chart.version:
            raise CaasError(f"{self.chart.name} is the chart of Cilium {found or 'without a version'}, not {self.chart.version}",
                            cause="spec.cilium.chart and spec.cilium.version do not fit",
                            fix=f"spec.cilium.version: {found}" if found else "name the path of Cilium's chart")  # fmt: skip

    def _write(self, host: Writer, now: State) -> None:
        states = dict(now.parts) if isinstance(now, Known) else {}
        for member in self.members:
            was = states.get(_path(member), Absent())
            if member.target(was) != was:
                member.apply(host, was)

    def _install(self, host: Writer, seen: Seen) -> None:
        """Mends, upgrades, waits; where the host's own network is lost on the way, back to what was."""
        lifeline, good = note(host), seen.release.good
        host.say(f"reaches before the change: {lifeline.text}")
        try:
            _mend(host, seen.release)
            self._keys(host)
            under_way.run(host, self._upgrade(), self.direct)
            self.patience.wait(host, self.address, lifeline)
        except CaasError as error:
            lost = error.problem if isinstance(error, LostError) else self.patience.lost(host, lifeline)
            if not lost:
                raise
            raise self._taken_back(host, lifeline, good, lost) from error

    def _upgrade(self) -> tuple[str, ...]:
        files = tuple(word for member in self.members for word in ("--values", _path(member)))
        return ("helm", "upgrade", "--install", NAME, *self.chart.argv, *WHERE, *files,
                "--history-max", "5", "--timeout", f"{TIMEOUT_S}s")  # fmt: skip

    def _keys(self, host: Writer) -> None:
        """IPsec's key, made here once and never changed: it must be there before the agents start."""
        if at(self.values, "encryption.enabled") is not True or at(self.values, "encryption.type", "ipsec") != "ipsec":
            return
        name = str(at(self.values, "encryption.ipsec.secretName", IPSEC_KEYS))
        try:
            there = commands.secret_exists(host, name)
        except Unreadable as unreadable:
            raise CaasError(f"the secret {name} cannot be looked at", cause=str(unreadable),
                            fix="mend that, then run the same command again") from unreadable  # fmt: skip
        if there:
            return
        try:
            host.write(_STAGED_KEYS, dump_yaml(_keys_manifest(name)).encode(), 0o600)
            host.execute("kubectl", *WHERE, "create", "-f", _STAGED_KEYS)
        finally:
            host.remove_tree(_STAGE)

    # -- back -------------------------------------------------------------------------------------------------------
    def _taken_back(self, host: Writer, lifeline: Lifeline, good: Revision | None, lost: str) -> CaasError:
        host.say(f"{lost}: takes Cilium back")
        done = f"it is back at {good.version} (revision {good.number})" if good else "it is uninstalled"
        try:
            _back(host, good)
            if not good:
                remove_links(host)
            lifeline.restore_routes(host)
        except CaasError as error:
            done = f"taking it back failed: {error.problem}; {error.cause}"
        still = self.patience.lost(host, lifeline)
        after = f"but {still}; a reboot clears what Cilium left in the kernel" if still else "and all answer again"
        return CaasError(
            f"Cilium {self.chart.version} took this host's network away and was taken back: {lost}",
            cause=f"{done}, {after}",
            fix="spec.cilium.devices and spec.network.podCIDR in the profile: the node's own interface, and a range that "
            "nothing on the way to it uses; then run the same command again",
        )


def _mend(host: Writer, release: Release) -> None:
    """A killed helm leaves its lock: `another operation (install/upgrade/rollback) is in progress`."""
    if not release.pending:
        return
    good = release.good
    back = f"back to revision {good.number}" if good else "uninstalled, nothing was deployed before"
    host.say(f"the release {NAME} was left in {release.status}: {back}")
    _back(host, good)


def _back(host: Writer, good: Revision | None) -> None:
    to = (*_helm("rollback"), str(good.number), *WHERE, "--timeout", f"{TIMEOUT_S}s") if good else ()
    under_way.run(host, to or (*_helm("uninstall"), "--ignore-not-found", *WHERE))


def _helm(verb: str) -> tuple[str, ...]:
    return ("helm", verb, NAME)


def _keys_manifest(name: str) -> dict[str, Any]:
    """One AES-GCM key of 16 bytes and a salt of 4, with an id; + asks for a key of its own for each pair of nodes."""
    keys = f"3+ rfc4106(gcm(aes)) {secrets.token_hex(20)} 128"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"keys": keys}}


def _none(files: tuple[tuple[str, State], ...]) -> State:
    """No release: Absent where there is not even a file of ours."""
    if not any(isinstance(state, Known) for _, state in files):
        return Absent()
    return Known(refusals.NONE, parts=files)


def _values(values: Mapping[str, Any]) -> Known:
    return Known(dump_yaml(canonical(values)))


def _path(member: Resource) -> str:
    return member.name.removeprefix("file:")


def _part(state: State, name: str) -> str:
    found = dict(state.parts).get(name) if isinstance(state, Known) else None
    return found.text if isinstance(found, Known) else ""
