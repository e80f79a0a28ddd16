"""What makes containerd's files take effect: judged while staged, restarted, proven through the CRI's plugins and handlers."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping

from caasctl.formats import REMOVED, FormatError, dump_json, edit_toml, parse_json, parse_toml
from caasctl.frozen import dataclass
from caasctl.model import CaasError, CommandError, Unreadable
from caasctl.protocol import IN_EFFECT, Completed, Known, Reader, State, Unknown, Writer
from caasctl.syntax.containerd.host import UNIT
from caasctl.syntax.containerd.imports import ConfigFile, load, merged, replaced
from caasctl.syntax.containerd.judge import lost, problems
from caasctl.syntax.containerd.merge import our_keys
from caasctl.syntax.containerd.output import cri_status, plugins, properties, reason
from caasctl.syntax.containerd.tables import (
    CRI,
    MAIN,
    Data,
    Version,
    cri,
    plugin_ids,
    runtimes_path,
    schema,
    socket,
    table,
)
from caasctl.syntax.containerd.wanted import Wanted

STAMP = "/run/caasctl/containerd.json"
STAGE = "/run/caasctl/stage/containerd"
DEADLINE_S = 15.0
_SLOW_S = 45.0  # of a host that is busy with its pods; one that hangs for longer is not to be left behind
TICKS_PER_S = 100  # USER_HZ: fixed in the kernel's interface since 2.4
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class ContainerdActivation:
    """Restarts containerd on its files and proves that the CRI is up with the wanted handlers.

    binary: the containerd that the service starts. main: its configuration file. deadline_s: how long the proof may take.
    """

    binary: str
    version: Version
    wanted: Wanted
    main: str = MAIN
    deadline_s: float = DEADLINE_S

    # -- is a restart owed? -----------------------------------------------------------------------------------------
    def state(self, host: Reader, files: Mapping[str, State]) -> State:
        """The stamp of the last proof tells, by process and digest; without one, the files' ctime against the process's start."""
        try:
            shown = _show(host)
            pid = int(shown.get("MainPID", "0") or 0)
            if not pid:
                return Known(f"restart owed: containerd is not running ({shown.get('ActiveState', 'no unit')})")
            started = _start_ticks(host, pid)
            read = self._staged_files(host, {p: s.text.encode() for p, s in files.items() if isinstance(s, Known)})
            stamp = _stamp(host)
            if (stamp.get("pid"), stamp.get("started")) == (pid, started):
                same = stamp.get("digest") == _digest(read)
                return Known(IN_EFFECT if same else "restart owed: the files changed after containerd was last proven")
            newer = self._newer(host, read, _boot_ns(host) + started * NS_PER_S // TICKS_PER_S)
        except Unreadable as unreadable:
            return Unknown(str(unreadable))
        return Known(f"restart owed: {newer} changed after containerd started" if newer else IN_EFFECT)

    def _files(self, host: Reader) -> tuple[ConfigFile, ...]:
        return load(self.main, host.read, host.list, self.version)

    def _newer(self, host: Reader, files: tuple[ConfigFile, ...], started_ns: int) -> str:
        for file in files:
            there = host.stat(file.path)
            if there and there.ctime_ns > started_ns:
                return file.path
        return ""

    # -- before anything is replaced --------------------------------------------------------------------------------
    def check(self, host: Writer, staged: Mapping[str, bytes]) -> None:
        """Containerd's own opinion of the staged whole, then ours on what it does not look at."""
        files = self._staged_files(host, staged)
        _refuse_broken(files)
        if self.version < (2, 0, 0):
            _refuse_replaced(files)
        try:
            dump = self._dump(host, self._write_stage(host, files))
        finally:
            host.remove_tree(STAGE)
        wrong = next(problems(dump, self.wanted), None)
        if wrong:
            raise CaasError(f"the new configuration is not right: {wrong.what}", cause=wrong.cause, fix=wrong.fix)
        self._refuse_losses(host, dump)

    def _staged_files(self, host: Reader, staged: Mapping[str, bytes]) -> tuple[ConfigFile, ...]:
        def read(path: str) -> str | None:
            return staged[path].decode() if path in staged else host.read(path)

        def listing(folder: str) -> tuple[str, ...] | None:
            new = {path.rpartition("/")[2] for path in staged if (path.rpartition("/")[0] or "/") == folder}
            here = host.list(folder)
            return tuple(sorted({*(here or ()), *new})) if here is not None or new else None

        return load(self.main, read, listing, self.version)

    def _write_stage(self, host: Writer, files: tuple[ConfigFile, ...]) -> str:
        """Copies of all files, the imports spelled out in the main one: none of the live files is read."""
        host.remove_tree(STAGE)
        paths = [f"{STAGE}/{number:02}-{file.path.rpartition('/')[2]}" for number, file in enumerate(files)]
        for file, path in zip(files, paths, strict=True):
            listed = paths[1:] if file is files[0] else REMOVED
            text = (
                edit_toml(file.text or "", [(("imports",), listed)], file.path) if len(files) > 1 else file.text or ""
            )
            host.write(path, text.encode(), 0o600)
        return paths[0]

    def _dump(self, host: Writer, path: str) -> Data:
        said = host.query(self.binary, "--config", path, "config", "dump", timeout_s=20)
        if not said.ok:
            raise CaasError(
                "containerd does not accept the new configuration",
                cause=reason(said.stderr) or f"`containerd config dump` ended with {said.rc}",
                fix="correct what it names in the file that has it, then run the same command again",
            )
        return parse_toml(said.stdout, "containerd config dump")

    def _refuse_losses(self, host: Writer, after: Data) -> None:
        live, *others = self._files(host)
        if live.text is None or live.schema == 1:
            return  # nothing there; or tables of schema 1, which containerd reads differently by purpose
        said = host.query(self.binary, "--config", self.main, "config", "dump", timeout_s=20)
        if not said.ok:
            return  # it is broken now: the merge of texts itself keeps what is not ours
        before = parse_toml(said.stdout, "containerd config dump")
        runc = (*runtimes_path(schema(before)), "runc")
        written = "runc" in cri(merged((live, *others), self.version)).runtimes
        gone = lost(before, after, our_keys(schema(after), self.wanted, self.version), () if written else runc)
        if gone:
            raise CaasError(
                f"the new configuration would lose {', '.join(gone[:3])}",
                cause="these keys are not caasctl's, and were in effect before",
                fix="report this as a bug of caasctl, with the output of `containerd config dump`",
            )

    # -- and then ---------------------------------------------------------------------------------------------------
    def activate(self, host: Writer) -> None:
        shown = _show(host)
        if shown.get("NeedDaemonReload") == "yes":
            host.execute("systemctl", "daemon-reload", timeout_s=60)
        if shown.get("ActiveState") == "failed":
            host.execute("systemctl", "reset-failed", UNIT, timeout_s=30)
        try:
            host.execute("systemctl", "restart", UNIT, timeout_s=120)
        except CommandError as error:
            raise self._failed(host, "containerd did not start", error.cause) from error

    def prove(self, host: Writer) -> None:
        """The CRI's plugins are ok and the handlers are there, for the process that systemd has now; then the stamp."""
        deadline = time.monotonic() + self.deadline_s
        while (silence := self._silence(host)) and time.monotonic() < deadline:
            time.sleep(0.2)
        if silence:
            raise self._failed(host, f"containerd does not answer: {silence}", "")
        if wrong := self._plugins_wrong(host):
            raise self._failed(host, f"the CRI did not come up: {wrong}", "")
        if missing := self._handlers_missing(host):
            raise self._failed(host, f"containerd runs without the handler {', '.join(missing)}", "")
        self._remember(host)

    def _remember(self, host: Writer) -> None:
        pid = int(_show(host).get("MainPID", "0") or 0)
        stamp = {"pid": pid, "started": _start_ticks(host, pid), "digest": _digest(self._files(host))}
        host.write(STAMP, dump_json(stamp).encode())

    def _silence(self, host: Writer) -> str:
        """Why the daemon does not answer; empty once it does, and then every plugin has been tried."""
        try:
            if not int(_show(host).get("MainPID", "0") or 0):
                return "it is not running"
            said = self._ctr_plugins(host)
        except Unreadable as unreadable:
            return str(unreadable)
        return "" if said.ok else said.stderr.strip().rpartition("\n")[2] or "ctr plugins ls failed"

    def _plugins_wrong(self, host: Writer) -> str:
        status = {state.uri: state.status for state in plugins(self._ctr_plugins(host).stdout)}
        wrong = [
            f"plugin {uri}: {status.get(uri, 'not loaded')}"
            for uri in plugin_ids(self.version)
            if status.get(uri) != "ok"
        ]
        return ", ".join(wrong)

    def _ctr_plugins(self, host: Writer) -> Completed:
        return host.query(
            "ctr", "-a", self._socket(host), "--connect-timeout", "2s", "plugins", "ls", timeout_s=_SLOW_S
        )

    def _socket(self, host: Reader) -> str:
        return socket(merged(self._files(host), self.version))

    def _handlers_missing(self, host: Writer) -> tuple[str, ...]:
        """By the CRI's own answer where crictl is there, else by what the file that the daemon was started on says."""
        said = host.query("crictl", "--runtime-endpoint", f"unix://{self._socket(host)}", "info", timeout_s=_SLOW_S)
        status = cri_status(parse_json(said.stdout, "crictl info")) if said.ok else cri(self._dump(host, self.main))
        there = set(status.runtimes)
        return tuple(name for name in self.wanted.names if name not in there)

    def _failed(self, host: Writer, problem: str, said: str) -> CaasError:
        """The program's own reason: containerd's last error in systemd's journal, else what systemctl says."""
        try:
            journal = host.query("journalctl", "-u", UNIT, "-n", "60", "--no-pager", "-o", "cat", timeout_s=10).stdout
            status = host.query("systemctl", "status", "--no-pager", "-n", "0", UNIT, timeout_s=10).stdout
        except Unreadable as unreadable:
            journal, status = "", str(unreadable)
        active = next((line.strip() for line in status.splitlines() if "Active:" in line), "")
        cause = "; ".join(part for part in (reason(journal), active) if part) or said
        return CaasError(
            problem, cause=cause, fix=f"mend what it names (journalctl -u {UNIT}), then run the same command again"
        )

    def way_back(self) -> tuple[tuple[str, ...], ...]:
        return (("systemctl", "restart", UNIT),)


def _show(host: Reader) -> Mapping[str, str]:
    said = host.query("systemctl", "show", "-p", "ActiveState,MainPID,NeedDaemonReload,LoadState", UNIT)
    if not said.ok:
        lines = said.stderr.strip().splitlines()
        raise Unreadable(f"systemctl show {UNIT}", lines[0] if lines else f"exit status {said.rc}")
    return properties(said.stdout)


def _start_ticks(host: Reader, pid: int) -> int:
    """Field 22 of /proc/PID/stat, counted behind the name, which may hold spaces."""
    text = host.read(f"/proc/{pid}/stat")
    fields = (text or "").rpartition(")")[2].split()
    if len(fields) < 20:  # noqa: PLR2004 - the field's place
        raise Unreadable(f"/proc/{pid}/stat", "the process is gone")
    return int(fields[19])


def _boot_ns(host: Reader) -> int:
    """When the host booted, in ns since 1970, rather too early than too late by a tick: a needless restart does no harm."""
    uptime = re.match(r"\d{1,12}(\.\d+)?(?=\s)", host.read("/proc/uptime") or "", re.ASCII)
    if not uptime:
        raise Unreadable("/proc/uptime", "holds no seconds")
    return time.time_ns() - int(float(uptime[0]) * NS_PER_S) - NS_PER_S // TICKS_PER_S


def _stamp(host: Reader) -> Data:
    try:
        return table(parse_json(host.read(STAMP) or "{}", STAMP))
    except (FormatError, Unreadable):  # root alone sees into /run/caasctl
        return {}  # as good as none: the times decide


def _digest(files: tuple[ConfigFile, ...]) -> str:
    """Of all files that containerd reads, by path and text."""
    whole = hashlib.sha256()
    for file in files:
        for part in (file.path, file.text or ""):
            whole.update(f"{len(part.encode())}:{part}".encode())
    return whole.hexdigest()


def _refuse_broken(files: tuple[ConfigFile, ...]) -> None:
    for file in files:
        if file.error:
            raise CaasError(
                f"{file.path} is broken: {file.error}",
                cause="containerd does not start on it",
                fix=f"correct {file.path}",
            )
        if file.text is None:
            by, entry = file.imported_by
            raise CaasError(
                f"{by} imports {file.path}, which is not there",
                cause="containerd 2.x dumps such a configuration without a word, but the daemon does not start on it: "
                f"open {file.path}: no such file or directory",
                fix=f'remove "{entry}" from `imports` in {by}, or bring the file back',
            )


def _refuse_replaced(files: tuple[ConfigFile, ...]) -> None:
    for loss in replaced(files):
        if loss.plugin == CRI:
            raise CaasError(
                f'{loss.by} has a table [plugins."{CRI}"] of its own',
                cause=f"containerd 1.x puts it in the place of the whole table of {loss.of}: "
                f"{', '.join(loss.lost[:4]) or 'all of it'} would be lost",
                fix=f"move what {loss.by} sets into {loss.of}, and take {loss.by} out of its `imports`",
            )
