"""What a release is called in a plan, and which changes of a Cilium that runs are refused, with the way there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from caasctl.formats import parse_yaml
from caasctl.model import RefusedError
from caasctl.protocol import Known
from caasctl.resources.helm.commands import Seen
from caasctl.syntax import helm_release
from caasctl.syntax.helm_values import Values, at

NONE = "not installed"
_FOREIGN, _OTHER = "made without Helm: ", "made by the Helm release "
_LINE = re.compile(r"^(?P<chart>\S+?)-v?(?P<version>\d+\.\d+\.\d+\S*) (?P<status>\S+)(?: over (?P<over>\S+))?$")
_DEFAULT_POOLS: Mapping[int, tuple[list[str], int]] = {4: (["10.0.0.0/8"], 24), 6: (["fd00::/104"], 120)}


def wanted(version: str) -> str:
    return f"cilium-{version} deployed"


def line(seen: Seen) -> str:
    """`cilium-1.20.5 deployed`, `cilium-1.20.5 pending-upgrade over 1.19.11`, or by whom a Cilium was made that is not ours."""
    last, good = seen.release.last, seen.release.good
    if last is None or not seen.release.status:
        if seen.agent is None:
            return NONE
        return (
            f"{_OTHER}{seen.agent.release}: {seen.agent.image}"
            if seen.agent.release
            else f"{_FOREIGN}{seen.agent.image}"
        )
    over = f" over {good.version}" if good and last.status != "deployed" else ""
    return f"{last.chart}-{last.version} {last.status}{over}"


def refuse(now: Known, version: str, values: Values) -> None:
    """Raises RefusedError: a Cilium of somebody else's, a minor jumped over or taken back, another pool under live pods."""
    release = now.text.partition(", ")[0]
    _refuse_foreign(release)
    found = _LINE.match(release)
    running = (found["version"] if found["status"] == "deployed" else found["over"]) if found else None
    if not found or not running:
        return
    if found["chart"] != "cilium":
        raise RefusedError(
            f"the Helm release cilium in kube-system is of the chart {found['chart']}",
            cause="caasctl's release has that name",
            fix="helm uninstall cilium -n kube-system if nobody needs it, then run the same command again",
        )
    why = helm_release.refusal(running, version)
    if why:
        step = (
            helm_release.next_minor(running) if helm_release.minor(version) > helm_release.minor(running) else running
        )
        raise RefusedError(f"Cilium {running} runs here, the profile wants {version}", cause=why,
                           fix=f"spec.cilium.version: {step}{'' if step == running else '.x, its newest patch'}")  # fmt: skip
    live = dict(now.parts).get("values")
    if isinstance(live, Known):
        _refuse_other_pools(_table(live.text), values)


def _refuse_foreign(text: str) -> None:
    if text.startswith(_FOREIGN):
        raise RefusedError(
            f"a Cilium that Helm does not know is in this cluster ({text.removeprefix(_FOREIGN)})",
            cause="an old cilium-cli or plain manifests made it; Helm refuses to take over objects that are not its own",
            fix="cilium uninstall (or kubectl delete -f the manifests), then run the same command again",
        )
    if text.startswith(_OTHER):
        raise RefusedError(
            f"this cluster's Cilium was {text}",
            cause="caasctl's release is called cilium, in kube-system; two releases cannot own one daemonset",
            fix="helm uninstall that release, then run the same command again",
        )


def _table(text: str) -> dict[str, Any]:
    data = parse_yaml(text, "values")
    return data if isinstance(data, dict) else {}


def _refuse_other_pools(live: Values, values: Values) -> None:
    for key, old, new in _pools(live, values):
        if new != old:
            raise RefusedError(
                f"the Cilium that runs here has {key}: {old}, the profile makes it {new}",
                cause="what hands out pods' addresses cannot be changed under pods that have some",
                fix=f"set spec.cilium.values so that {key} stays {old} (and spec.network.podCIDR to it)",
            )


def _pools(live: Values, values: Values) -> Iterator[tuple[str, Any, Any]]:
    """(key, live, wanted) of what stays for good; a list of pools may grow at its end."""
    modes = [at(each, "ipam.mode", "cluster-pool") for each in (live, values)]
    yield "ipam.mode", *modes
    if modes[0] != "cluster-pool":
        return
    for family, (networks, mask) in _DEFAULT_POOLS.items():
        if not at(live, f"ipv{family}.enabled", family == 4):  # noqa: PLR2004 - IPv4 is on by default
            continue
        if not at(values, f"ipv{family}.enabled", family == 4):  # noqa: PLR2004
            yield f"ipv{family}.enabled", True, False
            continue
        key = f"ipam.operator.clusterPoolIPv{family}"
        old, new = (_listed(at(each, f"{key}PodCIDRList", networks)) for each in (live, values))
        yield f"{key}PodCIDRList", old, new[: len(old)]
        yield f"{key}MaskSize", *(at(each, f"{key}MaskSize", mask) for each in (live, values))


def _listed(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else [str(each) for each in value or ()]
