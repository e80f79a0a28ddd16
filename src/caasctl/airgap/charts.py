"""Cilium's chart as a file, by helm, and the images that it names with the profile's values."""

from __future__ import annotations

import re
from typing import Any

from caasctl import formats
from caasctl.host import LiveHost
from caasctl.model import CaasError, Unreadable
from caasctl.needs.cilium import values_anywhere
from caasctl.profile import NodeProfile
from caasctl.resources.helm.commands import Chart
from caasctl.syntax.digests import sha256

_IMAGE = re.compile(r"""^[ -]*image: *["']?([^\s"',}\]]+)""", re.MULTILINE)
_PULL_S, _TEMPLATE_S = 300.0, 60.0
_TOLD = 12  # digits, which tell sources apart


def chart_of(profile: NodeProfile) -> Chart:
    cilium = profile.spec.cilium
    return Chart(cilium.chart, cilium.repository, cilium.version.removeprefix("v"))


def file_name(chart: Chart) -> str:
    """Of another source another one, where both call themselves by the same version."""
    return f"cilium-{chart.version}-{sha256(f'{chart.repository} {chart.name}')[:_TOLD]}.tgz"


def pull(host: LiveHost, chart: Chart, folder: str) -> str:
    """The path of the chart's file, in a folder of ours. Raises CaasError."""
    chart.refuse_password()
    if chart.local and chart.name.endswith(".tgz"):
        return chart.name
    host.write(f"{folder}/none", b"")  # helm makes no folder
    verb = ("package", chart.name) if chart.local else ("pull", *chart.argv)
    host.execute("helm", *verb, "--destination", folder, timeout_s=_PULL_S, direct=())
    made = [name for name in host.list(folder) or () if name.endswith(".tgz")]
    if len(made) != 1:
        raise CaasError(
            "helm left no chart",
            cause=f"there is {', '.join(made) or 'no file'} in {folder}",
            fix="run the same command again",
        )
    return f"{folder}/{made[0]}"


def images(host: LiveHost, profile: NodeProfile, chart: str, values: str) -> tuple[str, ...]:
    """The images in what the chart becomes. chart: a file. values: a path for ours, which is written. Raises CaasError."""
    host.write(values, formats.dump_yaml(values_anywhere(profile)).encode(), 0o600)
    try:
        said = host.query("helm", "template", "cilium", chart, "--namespace", "kube-system", "--kube-version", profile.spec.kubernetes.version,
                          "--values", values, timeout_s=_TEMPLATE_S)  # fmt: skip
    except Unreadable as unreadable:
        raise _untold(unreadable.reason) from unreadable
    if not said.ok:
        raise _untold((said.stderr.strip().splitlines() or ["helm says nothing"])[-1])
    return tuple(dict.fromkeys(_IMAGE.findall(said.stdout)))


def values_digest(profile: NodeProfile) -> str:
    """Stands for all values that can select images: which of them do, only the chart knows."""
    return sha256(formats.dump_json(_ordered(values_anywhere(profile))))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _ordered(value[key]) for key in sorted(value, key=str)}
    return [*map(_ordered, value)] if isinstance(value, (list, tuple)) else value


def _untold(why: str) -> CaasError:
    return CaasError("the images of Cilium's chart could not be listed", cause=why,
                     fix="install helm, or mend what it says (https://helm.sh/docs/intro/install), then run the same command again")  # fmt: skip
