"""The steps of an upgrade, with the commands of each, in upstream's order."""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.frozen import dataclass
from caasctl.needs.upgrade import packages, table
from caasctl.needs.upgrade.refusals import cilium_goal
from caasctl.needs.upgrade.state import Now, minors_between, numbers
from caasctl.syntax import kubeadm, versions
from caasctl.syntax.versions import Minor, minor, text

_KUBECTL = f"kubectl --kubeconfig {kubeadm.ADMIN}"
_PROGRAMS = ("kubelet", "kubectl")


@dataclass(frozen=True)
class Step:
    """title: what it brings about. commands: to be pasted, in order. where: on another host than this one. note: what to know first."""

    title: str
    commands: tuple[str, ...]
    where: str = ""
    note: str = ""


def steps(now: Now, wanted: str) -> tuple[Step, ...]:
    """Of this node to that version (1.37.1; 1.34 where no patch is known): () where it is there."""
    return tuple(_steps(now, wanted))


def _steps(now: Now, wanted: str) -> Iterator[Step]:
    goal = minor(wanted)
    if goal is None or not hops(now, wanted):
        return
    yield _before(now)
    yield from _cilium(now, goal)
    way = hops(now, wanted)
    runtime = next((version for version in way if (minor(version) or goal) >= table.NEEDS_CONTAINERD_2), "")
    for version in way:
        yield from _hop(now, version, runtime=version == runtime)
    yield _after(now, wanted)


def _there(now: Now, wanted: str) -> bool:
    everything = [now.kubelet, *([now.api] if now.plane else [])]
    return all(numbers(version) == numbers(wanted) for version in everything)


def hops(now: Now, wanted: str) -> list[str]:
    """The versions to stop at: the newest patch of each minor in between, then the wanted one; none where it is there, or older."""
    goal, have = minor(wanted), minor(now.api)
    if goal is None or have is None or _there(now, wanted):
        return []
    if not now.plane:
        # https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/: "Skipping MINOR versions when upgrading is unsupported"
        return [*map(_of, minors_between(minor(now.kubelet) or goal, goal)[:-1]), wanted]
    if now.follows and minor(now.newest_api) != have:
        have = minor(now.newest_api) or have
        return [
            now.newest_api,
            *(
                []
                if numbers(now.newest_api) == numbers(wanted)
                else [*map(_of, minors_between(have, goal)[:-1]), wanted]
            ),
        ]
    return [*map(_of, minors_between(have, goal)[:-1]), wanted]


def _of(one: Minor) -> str:
    return table.newest(one) or text(one)


def _before(now: Now) -> Step:
    commands = [
        f"{_KUBECTL} get --raw /metrics | grep apiserver_requested_deprecated_apis   # what still uses APIs that go"
    ]
    if now.plane:
        certs = "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt --key /etc/kubernetes/pki/etcd/server.key"
        snapshot = "/var/lib/etcd/before-upgrade.db"
        commands = [
            "kubeadm certs check-expiration   # kubeadm renews them on its way, but begins only while they are good",
            *commands,
            f"{_KUBECTL} -n kube-system exec etcd-{now.node or '$(hostname)'} -- etcdctl {certs} snapshot save {snapshot}",
            f"install -d -m 0700 /root/before-upgrade && mv {snapshot} /root/before-upgrade/ && cp -a /etc/kubernetes /root/before-upgrade/",
        ]
    note = "there is no way back but this snapshot" if now.plane else ""
    return Step(
        "What is looked at and kept before anything changes",
        tuple(commands if now.plane else []) or ("caasctl doctor",),
        note=note,
    )


def _cilium(now: Now, goal: Minor) -> Iterator[Step]:
    """Once for the cluster, from a control plane: its newest patch first, then a minor at a time."""
    runs, wanted = minor(now.cilium), minor(cilium_goal(now, goal))
    if not now.plane or now.follows or runs is None or wanted is None or runs == wanted:
        return
    stops = [versions.CILIUM_MAINTAINED.get(one, text(one)) for one in (runs, *minors_between(runs, wanted))]
    for version in (stop for stop in stops if numbers(stop) > numbers(now.cilium)):
        pre = (f"helm --kubeconfig {kubeadm.ADMIN} install cilium-preflight cilium --repo https://helm.cilium.io --version {version} -n kube-system"
               " --set preflight.enabled=true --set agent=false --set operator.enabled=false")  # fmt: skip
        go = (_init_node(now, f"--phase cilium --set cilium.version={version}") if now.cilium_release
              else f"cilium upgrade --version {version}")  # fmt: skip
        yield Step(
            f"Cilium {version}",
            (pre, f"{_KUBECTL} -n kube-system rollout status daemonset/cilium-pre-flight-check",
             f"helm --kubeconfig {kubeadm.ADMIN} -n kube-system uninstall cilium-preflight", go),
            note="with the profile and settings of this node; read https://docs.cilium.io/en/stable/operations/upgrade/ for what this minor changes",
        )  # fmt: skip


def _hop(now: Now, version: str, *, runtime: bool) -> Iterator[Step]:
    to = minor(version)
    assert to is not None  # noqa: S101 - hops are versions
    if now.manager in ("dpkg", "rpm"):
        yield Step(f"The repository of {text(to)}", packages.repository(now, version, to), note=packages.note(now))
    yield Step(f"kubeadm {version}", packages.install(now, ("kubeadm",), version))
    yield _control_plane(now, version)
    yield _drain(now)
    if runtime and numbers(now.containerd)[:1] < (2,) and now.containerd_package == "containerd.io":
        yield Step(
            "containerd 2.x, while no pod is here",
            _containerd(now),
            note=f"no containerd 1.x is tested with {text(table.NEEDS_CONTAINERD_2)} or newer; init-node with the profile and settings of this node",
        )
    programs = (*_PROGRAMS, *(("cri-tools",) if now.manager else ()))
    yield Step(
        f"kubelet and kubectl {version}",
        (*packages.install(now, programs, version), "systemctl daemon-reload", "systemctl restart kubelet"),
    )
    yield Step("Pods may come back", (f"{_KUBECTL} uncordon {now.node}", f"{_KUBECTL} wait --for=condition=Ready node/{now.node} --timeout=5m"),
               where="" if now.plane else "a control plane")  # fmt: skip


def _control_plane(now: Now, version: str) -> Step:
    tag = f"v{version}" if len(numbers(version)) > 2 else "$(kubeadm version -o short)"  # noqa: PLR2004
    if not now.plane:
        return Step(f"This node's configuration for {version}", ("kubeadm upgrade node",))
    if now.follows and numbers(version) <= numbers(now.newest_api):
        return Step(
            f"This control plane to {version}",
            ("kubeadm upgrade node",),
            note="another one was taken there by `kubeadm upgrade apply`",
        )
    parts = f"API server, controller manager, scheduler, etcd{f' ({now.etcd} now)' if now.etcd else ''}, CoreDNS, and kube-proxy where there is one"
    return Step(
        f"The control plane to {version}: {parts}",
        (f"kubeadm config images list --kubernetes-version {tag}   # which etcd and CoreDNS come with it", f"kubeadm upgrade plan {tag}",
         f"kubeadm upgrade apply {tag}"),
        note="its certificates are renewed; each of its pods restarts, so a single API server is away for a minute",
    )  # fmt: skip


def _drain(now: Now) -> Step:
    note = "a kubelet of another minor starts pods anew" + (
        "; there is no other node, so they wait until it is open again" if now.alone else ""
    )
    return Step(
        "No pod on this node",
        (f"{_KUBECTL} drain {now.node} --ignore-daemonsets",),
        where="" if now.plane else "a control plane",
        note=note,
    )


def _containerd(now: Now) -> tuple[str, ...]:
    if now.manager == "dpkg":
        return ("apt-mark unhold containerd.io", f"apt-get install -y 'containerd.io={table.CONTAINERD_2}.*'", "apt-mark hold containerd.io",
                _init_node(now, "--phase containerd"))  # fmt: skip
    return (f"dnf install -y 'containerd.io-{table.CONTAINERD_2}.*'", _init_node(now, "--phase containerd"))


def _init_node(now: Now, words: str) -> str:
    """With the profile and settings that the plan was asked with: those of another would take this node's away."""
    return f"caasctl init-node{now.options and f' {now.options}'} {words}"


def _after(now: Now, wanted: str) -> Step:
    goal = f"v{wanted}" if len(numbers(wanted)) > 2 else f"a v{wanted}"  # noqa: PLR2004
    others = [one for one in now.planes if one != now.node]
    here = (
        f"caasctl preflight{now.options and f' {now.options}'} --set kubernetes.version=v{wanted}"
        if now.plane
        else "caasctl doctor"
    )
    rest = (
        [f"caasctl upgrade --dry-run --to v{wanted}   # on {', '.join(others)}, then on each worker"]
        if others or not now.alone
        else []
    )
    note = f"set spec.kubernetes.version to {goal} in this node's profile"
    return Step(
        "What is looked at afterwards, and who is next",
        (here, f"{_KUBECTL} get nodes" if now.plane else "systemctl status kubelet", *(rest if now.plane else [])),
        note=note,
    )
