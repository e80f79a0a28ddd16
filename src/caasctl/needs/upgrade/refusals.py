"""What upstream does not support, or what would stop an upgrade half-way: found before the first step."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.cgroup import CgroupLayout
from caasctl.facts.kubernetes_api import ClusterApi
from caasctl.facts.kubernetes_config import KUBEADM_FILE, KubeadmFile, parse_documents
from caasctl.facts.kubernetes_kubelet import KubeletFlags
from caasctl.facts.kubernetes_live import LiveObjects
from caasctl.facts.os import Kernel
from caasctl.model import Evidence, Facts, Finding, Fix, FixKind, failed, passed, unknown, warned
from caasctl.needs.upgrade import table
from caasctl.needs.upgrade.state import Now, numbers
from caasctl.syntax import versions
from caasctl.syntax.versions import Minor, behind, minor, text

_SKEW = "https://kubernetes.io/releases/version-skew-policy/"
TITLES = {
    "upgrade.target": "The version is one to go to",
    "upgrade.packages": "The programs of the version have somewhere to come from",
    "upgrade.order": "Control planes go first, one minor at a time, and stay together",
    "upgrade.kubelets": "No kubelet is newer than the API server, or too old for the one to come",
    "upgrade.nodes_ready": "All nodes are ready",
    "upgrade.containerd": "containerd goes with the version",
    "upgrade.cgroup": "The host has cgroup v2, which the kubelet wants",
    "upgrade.kernel": "The kernel is new enough for Cilium",
    "upgrade.cilium": "Cilium goes with the version",
    "upgrade.removed": "Nothing that was removed is set on this node",
}


def of(facts: Facts, now: Now, wanted: str) -> Iterator[tuple[str, Finding]]:
    """(id, finding). wanted: as 1.37.1."""
    goal = minor(wanted)
    if goal is None:
        return
    yield from (("upgrade.target", one) for one in _target(now, wanted, goal))
    yield from (("upgrade.order", one) for one in _order(now, wanted, goal))
    yield from (("upgrade.kubelets", one) for one in _kubelets(now, goal))
    yield from (("upgrade.nodes_ready", one) for one in _nodes(facts, now))
    yield from (("upgrade.containerd", one) for one in _containerd(now, goal))
    yield from (("upgrade.cgroup", one) for one in _cgroup(facts, goal))
    yield from (("upgrade.kernel", one) for one in _kernel(facts, now, goal))
    yield from (("upgrade.cilium", one) for one in _cilium(now, goal))
    yield from (("upgrade.removed", one) for one in _removed(facts, now, goal))


def _target(now: Now, wanted: str, goal: Minor) -> Iterator[Finding]:
    known = max(versions.KUBERNETES_EOL)
    from_ = now.api if now.plane else now.kubelet
    if goal > known:
        yield failed(wanted, wanted=f"{text(known)} at most", fix=Fix("take a newer caasctl", FixKind.WAIT),
                     cause=f"caasctl's tables of {table.WRITTEN} end there: what {text(goal)} removed is not known.")  # fmt: skip
    elif not numbers(from_):
        yield unknown("the version that is here does not show", fix=Fix("kubelet --version; kubectl version"))
    elif numbers(wanted) < numbers(from_):
        yield failed(f"{from_} to {wanted}", wanted=f"{from_} or newer", fix=Fix(f"name {from_} or newer: --to v{_next(from_, known)}", FixKind.EDIT),
                     cause="Kubernetes has no way back: etcd holds objects as the newer version writes them. A snapshot of etcd is none: it loses all that came after it.")  # fmt: skip
    else:
        ends = versions.KUBERNETES_EOL.get(goal)
        if ends and ends < table.WRITTEN:
            yield warned(f"{wanted}: maintained until {ends}", wanted="a maintained minor", fix=Fix(f"--to {text(known)}", FixKind.EDIT),
                         cause="It gets no fixes any more.")  # fmt: skip
        newest = table.newest(goal)
        if newest and numbers(wanted) > numbers(newest):
            yield warned(f"{wanted} is not known to this caasctl", wanted=f"{newest}, the newest {text(goal)} of {table.WRITTEN}",
                         fix=Fix(f"look whether https://kubernetes.io/releases/ has {wanted}; else --to v{newest}", FixKind.EDIT),
                         cause="Where there is no such release, the step that installs kubeadm stops, and nothing has changed by then but the repository.")  # fmt: skip
        yield passed(f"{from_} to {wanted}")


def _next(from_: str, known: Minor) -> str:
    """A version to name instead, which caasctl knows where it can: the newest patch of the same minor, else what is there."""
    at = minor(from_)
    newest = table.newest(min(at, known)) if at else ""
    return newest if numbers(newest) > numbers(from_) else from_


def _order(now: Now, wanted: str, goal: Minor) -> Iterator[Finding]:
    api, kubeadm, newest = minor(now.api), minor(now.kubeadm), now.newest_api
    if api is None:
        yield unknown("the API server's version does not show from here",
                      fix=Fix("kubectl version, with an administrator's kubeconfig: it must be the target's minor before a worker goes"))  # fmt: skip
        return
    if not now.plane and numbers(newest) < numbers(wanted):
        yield failed(f"the API server is {newest}", wanted=f"{wanted} on all control planes first", fix=Fix(f"caasctl upgrade --dry-run --to v{wanted}, on a control plane"),
                     cause="A kubelet must not be newer than the API server that it speaks to.", evidence=(Evidence(_SKEW, "kubelet"),))  # fmt: skip
        return
    others = {name: version for name, version in now.planes.items() if name != now.node}
    behind_us = sorted(name for name, version in others.items() if (minor(version) or api) < api)
    if now.plane and behind_us and goal > api:
        yield failed(f"{', '.join(behind_us)} {'is' if len(behind_us) == 1 else 'are'} still older than {text(api)}", wanted="all control planes of one minor",
                     fix=Fix(f"bring {', '.join(behind_us)} to {now.api} first: caasctl upgrade --dry-run --to v{now.api}, there"),
                     cause="API servers may be one minor apart, and no more.")  # fmt: skip
    if kubeadm and behind(api, kubeadm) > 1:
        yield failed(f"kubeadm {now.kubeadm}, API server {now.api}", wanted=f"kubeadm {text(api)} or one minor newer",
                     fix=Fix(f"install kubeadm {text((api[0], api[1] + 1))}", FixKind.EDIT), cause="kubeadm takes a cluster one minor further, it does not jump.")  # fmt: skip
    if len({minor(version) for version in (now.api, *others.values())}) == 1:
        yield passed(f"{len(others) + now.plane or 1} API server{'s' if others else ''} of {text(api)}")


def _kubelets(now: Now, goal: Minor) -> Iterator[Finding]:
    api = minor(now.api)
    kubelets = {one.name: one.kubelet for one in now.nodes if minor(one.kubelet)} or (
        {now.node or "this node": now.kubelet} if minor(now.kubelet) else {}
    )
    if api is None:
        return
    newer = {name: version for name, version in kubelets.items() if (minor(version) or api) > api}
    old = {
        name: version
        for name, version in kubelets.items()
        if behind(minor(version) or goal, goal) > versions.OLDER_KUBELET and name != now.node
    }
    for name, version in newer.items():
        yield failed(f"kubelet {version}, API server {now.api}", wanted=f"kubelet {text(api)} or older", subject=name, fix=Fix(f"install kubelet {now.api} on {name}", FixKind.EDIT),
                     cause="A kubelet newer than its API server is supported by nobody.", evidence=(Evidence(_SKEW, "kubelet"),))  # fmt: skip
    for name, version in old.items():
        yield failed(f"kubelet {version}", wanted=f"{text((goal[0], goal[1] - versions.OLDER_KUBELET))} or newer before the API server is {text(goal)}", subject=name,
                     fix=Fix(f"take {name} further first: caasctl upgrade --dry-run --to v{now.api}, there"), cause="A kubelet may be three minors behind its API server.")  # fmt: skip
    if kubelets and not newer and not old:
        yield passed(
            f"{len(kubelets)} kubelet{'' if len(kubelets) == 1 else 's'}, {min(kubelets.values(), key=numbers).lstrip('v')} the oldest"
        )


def _nodes(facts: Facts, now: Now) -> Iterator[Finding]:
    live = facts.get(LiveObjects)
    if live is None or not live.nodes:
        yield unknown(facts.unread().get(LiveObjects, "no kubeconfig here to ask by"), fix=Fix("kubectl get nodes"))
        return
    down = [one for one in live.nodes if one.ready.status != "True"]
    for one in down:
        yield failed(f"NotReady: {one.ready.message or one.ready.reason or 'it says nothing'}", wanted="Ready", subject=one.name,
                     fix=Fix("caasctl doctor" if one.name == now.node else f"kubectl describe node {one.name}"),
                     cause="kubeadm upgrade stops at it: `some nodes in the cluster are NotReady`; nobody takes the pods that are drained.")  # fmt: skip
    if not down:
        yield passed(f"{len(live.nodes)} ready")


def _containerd(now: Now, goal: Minor) -> Iterator[Finding]:
    release = numbers(now.containerd)
    if not release:
        yield unknown("containerd's version does not show", fix=Fix("containerd --version"))
        return
    major, of_minor, patch, *_ = (*release, 0, 0)
    refused = versions.containerd_cannot_run((major, of_minor, patch), goal)
    if not refused and (goal < table.NEEDS_CONTAINERD_2 or release >= (2,)):
        yield passed(now.containerd)
    elif now.containerd_package == "containerd.io" or (goal == minor(now.kubelet) and not refused):
        yield warned(now.containerd, wanted=f"2.x with {text(goal)}", fix=Fix("a step of the plan brings it" if goal != minor(now.kubelet) else "before the next minor: containerd 2.x", FixKind.WAIT),
                     cause=f"containerd's project tests no 1.x with {text(table.NEEDS_CONTAINERD_2)} or newer.")  # fmt: skip
    else:
        where = "the distribution's package has none" if now.containerd_package else "it is from no package"
        tests = f"containerd's project tests no 1.x with {text(table.NEEDS_CONTAINERD_2)} or newer; kubelet 1.38 is the first that refuses it."
        yield (failed if refused else warned)(
            f"{now.containerd}, and {where}", wanted=f"2.x with {text(goal)}", cause=refused or tests,
            fix=Fix(f"install containerd {table.CONTAINERD_2} on a drained node: containerd.io of https://download.docker.com, or its tarball of "
                    "https://github.com/containerd/containerd/releases with its SHA-256; then `caasctl init-node --phase containerd`", FixKind.EDIT))  # fmt: skip


def _cgroup(facts: Facts, goal: Minor) -> Iterator[Finding]:
    layout = facts.get(CgroupLayout)
    if layout is None or goal < table.NEEDS_CGROUP_V2:
        return
    if layout.mode == "unified":
        yield passed("cgroup v2")
    else:
        yield failed(layout.mode, wanted="unified", fix=Fix("caasctl init-node --phase boot, then reboot", needs_reboot=True),
                     cause="The kubelet ends: `kubelet is configured to not run on a host using cgroup v1`.")  # fmt: skip


def _kernel(facts: Facts, now: Now, goal: Minor) -> Iterator[Finding]:
    running, wanted = facts.get(Kernel), minor(cilium_goal(now, goal))
    needed = table.CILIUM_KERNEL.get(wanted) if wanted else None
    if running is None or needed is None or wanted is None:
        return
    if running.version < needed and ".el8" not in running.release:
        yield failed(running.release, wanted=f"{needed[0]}.{needed[1]} or newer for Cilium {text(wanted)}",
                     fix=Fix("upgrade the distribution to a release with a newer kernel", FixKind.WAIT, needs_reboot=True),
                     cause="Cilium's agent does not start on it, and no pod gets a network.")  # fmt: skip
    else:
        yield passed(running.release)


def cilium_goal(now: Now, goal: Minor) -> str:
    """Which Cilium is to run before Kubernetes goes there: the one that runs, or the newest where it was tested with older ones only."""
    runs = minor(now.cilium)
    last = table.CILIUM_LAST_TESTED.get(runs) if runs else None
    newest = max(versions.CILIUM_MAINTAINED)
    if runs is None or runs >= newest or (last is not None and last >= goal):
        return now.cilium
    return (
        versions.CILIUM_MAINTAINED[newest] if last is not None or runs < min(versions.CILIUM_MAINTAINED) else now.cilium
    )


def _cilium(now: Now, goal: Minor) -> Iterator[Finding]:
    if not now.cilium:
        return
    wanted = cilium_goal(now, goal)
    if wanted != now.cilium:
        yield warned(now.cilium, wanted=f"{wanted}, a minor at a time", fix=Fix("steps of the plan bring it, before Kubernetes", FixKind.WAIT),
                     cause=f"Cilium {text(minor(now.cilium) or goal)} was never tested with Kubernetes {text(goal)}.")  # fmt: skip
    elif (runs := minor(now.cilium) or goal) in table.CILIUM_LAST_TESTED:
        yield passed(now.cilium)
    elif runs >= max(versions.CILIUM_MAINTAINED):
        yield passed(
            f"{now.cilium}, of the newest minor that caasctl knows: there is none to go to before Kubernetes {text(goal)}"
        )
    else:
        newest = versions.CILIUM_MAINTAINED[max(versions.CILIUM_MAINTAINED)]
        yield warned(now.cilium, wanted=f"a Cilium that is tested with {text(goal)}",
                     fix=Fix(f"look for {text(goal)} at https://docs.cilium.io/en/v{text(runs)}/network/kubernetes/compatibility/; where it lacks, go to Cilium {newest} first", FixKind.EDIT),
                     cause=f"Which Kubernetes Cilium {text(runs)} was tested with is not in caasctl's table of {table.WRITTEN}.")  # fmt: skip


def _removed(facts: Facts, now: Now, goal: Minor) -> Iterator[Finding]:
    found = [*_flags(facts, goal), *_documents(facts, now, goal), *_gates(now, goal)]
    yield from found or (passed("none of those that caasctl knows"),)


def _flags(facts: Facts, goal: Minor) -> Iterator[Finding]:
    flags = facts.get(KubeletFlags)
    if flags is None:
        yield unknown(facts.unread().get(KubeletFlags, "the kubelet's flags were not read"), subject="kubelet")
        return
    for path, flag in flags.flags:
        since = table.REMOVED_FLAGS.get(flag)
        if since and since <= goal:
            yield failed(f"--{flag} in {path}", wanted=f"not with {text(since)} or newer", subject=path, fix=Fix(f"take --{flag} out of {path}", FixKind.EDIT),
                         cause=f"The kubelet ends: `unknown flag: --{flag}`.")  # fmt: skip


def _documents(facts: Facts, now: Now, goal: Minor) -> Iterator[Finding]:
    """Kubeadm upgrade writes kubeadm-config anew on its way; a file stays as it is."""
    if goal <= versions.LAST_V1BETA3:
        return
    file, api = facts.get(KubeadmFile), facts.get(ClusterApi)
    through = (minor(now.api) or goal) < versions.LAST_V1BETA3  # an upgrade to 1.36 comes first, and converts it
    found = [(KUBEADM_FILE, spec) for spec, _ in file.documents] if file else []
    found += [("kubeadm-config", spec) for spec, _ in parse_documents(api.configuration)] if api and not through else []
    for where, spec in found:
        if spec == "kubeadm.k8s.io/v1beta3":
            make = failed if where == "kubeadm-config" else warned
            fix = (f"kubeadm config migrate --old-config {where} --new-config {where}.new && mv {where}.new {where}, with kubeadm 1.36" if where == KUBEADM_FILE
                   else "kubeadm upgrade apply v1.36.5 first: it writes it anew")  # fmt: skip
            yield make(
                spec,
                wanted="kubeadm.k8s.io/v1beta4",
                subject=where,
                fix=Fix(fix),
                cause="kubeadm 1.37 reads it no more.",
            )


def _gates(now: Now, goal: Minor) -> Iterator[Finding]:
    gates = now.cluster.get("featureGates")
    for name in gates if isinstance(gates, dict) else ():
        since = table.REMOVED_KUBEADM_GATES.get(name)
        if since and since <= goal:
            yield failed(f"featureGates.{name} in kubeadm-config", wanted=f"not with {text(since)} or newer", subject=name,
                         fix=Fix(f"take {name} out: kubectl -n kube-system edit configmap kubeadm-config", FixKind.EDIT),
                         cause="kubeadm stops: `unrecognized feature-gate key`.")  # fmt: skip
