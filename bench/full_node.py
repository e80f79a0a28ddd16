"""A node whose journals are full, as a recording: tests/hosts/already-a-node, its logs, pods and events made long."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HOST = Path(__file__).resolve().parents[1] / "tests/hosts/already-a-node"
ALL_LINES = 12_000  # that caasctl asks for: kubelet, containerd, Kata, kernel
BEGUN = 1_790_000_000_000_000  # microseconds
# What a healthy node's programs say all day. {n}: a number, {h}: hexadecimal, {p}: a pod, {a}: an address, {u}: a UID.
KUBELET = (
    'I1126 07:00:00.{n}    {n} pod_startup_latency_tracker.go:104] "Observed pod startup duration" pod="team-a/{p}" podStartSLOduration=1.{n} podStartE2EDuration="1.{n}s" podCreationTimestamp="2026-11-26 06:59:58 +0000 UTC" observedRunningTime="2026-11-26 07:00:00.{n} +0000 UTC m=+{n}.{n}"',
    'I1126 07:00:00.{n}    {n} reconciler_common.go:251] "operationExecutor.VerifyControllerAttachedVolume started for volume \\"kube-api-access-{h}\\" (UniqueName: \\"kubernetes.io/projected/{u}-kube-api-access-{h}\\") pod \\"{p}\\" (UID: \\"{u}\\") " pod="team-a/{p}"',
    'I1126 07:00:00.{n}    {n} kubelet.go:2405] "SyncLoop (PLEG): event for pod" pod="team-a/{p}" event={{"ID":"{u}","Type":"ContainerStarted","Data":"{h}{h}{h}{h}"}}',
    'I1126 07:00:00.{n}    {n} prober.go:107] "Probe failed" probeType="Readiness" pod="team-a/{p}" podUID="{u}" containerName="web" probeResult="failure" output="Get \\"http://{a}:8080/ready\\": dial tcp {a}:8080: connect: connection refused"',
    'W1126 07:00:00.{n}    {n} watcher.go:93] Error while processing event ("/sys/fs/cgroup/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{u}.slice": 0x40000100 == IN_CREATE|IN_ISDIR): inotify_add_watch: no such file or directory',
)  # fmt: skip
CONTAINERD = (
    'time="2026-11-26T07:00:00.{n}Z" level=info msg="RunPodSandbox for &PodSandboxMetadata{{Name:{p},Uid:{u},Namespace:team-a,Attempt:0,}} returns sandbox id \\"{h}{h}{h}{h}\\""',
    'time="2026-11-26T07:00:00.{n}Z" level=info msg="PullImage \\"registry.example.com/team-a/web:1.{n}@sha256:{h}{h}{h}{h}\\" returns image reference"',
    'time="2026-11-26T07:00:00.{n}Z" level=info msg="shim disconnected" id={h}{h}{h}{h} namespace=k8s.io',
    'time="2026-11-26T07:00:00.{n}Z" level=warning msg="cleanup warnings time=\\"2026-11-26T07:00:00Z\\" level=warning msg=\\"failed to remove runc container\\" runtime=io.containerd.runc.v2\\n"',
)  # fmt: skip
KATA = ('time="2026-11-26T07:00:00.{n}Z" level=info msg="VM started" name=containerd-shim-v2 pid={n} sandbox={h}{h}{h}{h} source=virtcontainers subsystem=qemu',)  # fmt: skip
KERNEL = (
    "cni0: port {n}(veth{n}) entered forwarding state",
    "IPv6: ADDRCONF(NETDEV_CHANGE): lxc{h}: link becomes ready",
    "pci 0000:41:00.0: BAR 1 [mem 0x{h}-0x{h} 64bit pref]: assigned",
    "eth{n}: renamed from tmp{n} 3c:ec:ef:12:34:56",
)


def said(phrases: tuple[str, ...], chance: random.Random) -> str:
    """One line of a program."""
    return chance.choice(phrases).format(
        n=chance.randrange(1000, 999_999), h=f"{chance.getrandbits(64):016x}", p=f"web-{chance.getrandbits(40):010x}",
        a=f"10.244.0.{chance.randrange(2, 250)}", u=f"{chance.getrandbits(32):08x}-{chance.getrandbits(16):04x}-4e5f-8c7d-{chance.getrandbits(48):012x}",
    )  # fmt: skip


def journal(phrases: tuple[str, ...], speaker: str, lines: int, size: int = 0) -> str:
    """`journalctl -o json`. size: of the whole, in bytes, by longer messages."""
    chance = random.Random(7)
    boot = f"{chance.getrandbits(128):032x}"
    return "".join(_records(phrases, speaker, lines, size // max(1, lines), boot, chance))


def _records(
    phrases: tuple[str, ...], speaker: str, lines: int, least: int, boot: str, chance: random.Random
) -> Iterator[str]:
    for at in range(lines):
        message = said(phrases, chance)
        while len(message) + 420 < least:
            message += " " + said(phrases, chance)
        when = BEGUN + at * 200_000
        record = {
            "__CURSOR": f"s={boot};i={at:x};b={boot};m={when - BEGUN:x};t={when:x};x={chance.getrandbits(64):x}",
            "__REALTIME_TIMESTAMP": str(when), "__MONOTONIC_TIMESTAMP": str(when - BEGUN), "__SEQNUM": str(at), "__SEQNUM_ID": boot, "_BOOT_ID": boot,
            "MESSAGE": message, "PRIORITY": "6", "_PID": "812", "SYSLOG_IDENTIFIER": speaker,
        }  # fmt: skip
        yield json.dumps(record, separators=(",", ":")) + "\n"


def objects(text: str, count: int) -> str:
    """A list of kubectl's, its first object again and again under other names."""
    data = json.loads(text)
    first = data["items"][0]
    for at in range(count):
        again = json.loads(json.dumps(first))
        again["metadata"] |= {"name": f"copy-{at}", "uid": f"{at:08x}-1111-4222-8333-444455556666"}
        data["items"].append(again)
    return json.dumps(data, indent=4)


def _longer(entry: dict[str, Any], size: int, pods: int, times: float) -> None:
    words = " ".join(entry["argv"])
    for word, phrases, speaker, lines in (
        ("-u kubelet.service", KUBELET, "kubelet", 3000), ("-u containerd.service", CONTAINERD, "containerd", 3000),
        ("-t kata", KATA, "kata", 1000), (" -k ", KERNEL, "kernel", 5000),
    ):  # fmt: skip
        if words.startswith("journalctl") and word in words:
            entry |= {"rc": 0, "stdout": journal(phrases, speaker, round(lines * times), size * lines // ALL_LINES)}
    if " get pods -A" in words or " get events -A" in words:
        entry["stdout"] = objects(entry["stdout"], pods)


def build(folder: str, *, size: int = 8 << 20, pods: int = 500, lines: int = ALL_LINES) -> str:
    """Makes the recording in a folder: lines of journals of that many bytes, pods and as many events. Its path."""
    top = Path(folder) / "full-node"
    shutil.copytree(HOST, top, symlinks=True)
    commands = json.loads((top / "commands.json").read_text())
    for entry in commands:
        _longer(entry, size, pods, lines / ALL_LINES)
    (top / "commands.json").write_text(json.dumps(commands, indent=2, ensure_ascii=False))
    return str(top)
