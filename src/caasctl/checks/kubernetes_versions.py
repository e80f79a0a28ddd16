"""The programs around Kubernetes: are they of versions that go with the profile's?"""

from __future__ import annotations

from collections.abc import Iterator

from caasctl.facts.kubernetes_tools import Tools
from caasctl.model import Check, Evidence, Facts, Finding, Fix, FixKind, check, passed, warned
from caasctl.profile import NodeProfile
from caasctl.syntax import versions
from caasctl.syntax.versions import FIRST_CRICTL, HELM_BUILT_FOR, HELM_NEWER, HELM_OLDER, Minor


@check(
    "kubernetes.tool_versions",
    "helm and crictl go with the profile's Kubernetes",
    reads=(Tools,),
    why="Helm knows the kinds and fields of the Kubernetes that it was built for and of three minors before; crictl before 1.27"
    " speaks an older CRI.",
    fix="Install a helm and a crictl of the cluster's age.",
    source="https://helm.sh/docs/topics/version_skew/; cri-tools README, compatibility matrix (November 2026)",
)
def tool_versions(facts: Facts, profile: NodeProfile) -> Iterator[Finding]:
    """Versions of helm and crictl on PATH against spec.kubernetes.version; of those that the table does not know, nothing."""
    told, cluster = facts[Tools].versions, profile.spec.kubernetes.minor
    helm, crictl = versions.minor(told.get("helm", "")), versions.minor(told.get("crictl", ""))
    built = HELM_BUILT_FOR.get(helm) if helm else None
    bad = []
    if built and not -HELM_NEWER <= versions.behind(cluster, built) <= HELM_OLDER and profile.begins_cluster:
        bad.append(_helm(told["helm"], built, cluster, facts))
    if crictl and crictl < FIRST_CRICTL <= cluster:
        bad.append(
            warned(f"crictl {told['crictl']}", wanted=f"crictl {versions.text(FIRST_CRICTL)} or newer", subject="crictl",
                   fix=Fix("apt-get install -y cri-tools   # of the profile's Kubernetes repository"))
        )  # fmt: skip
    yield from bad
    known = [f"{name} {told[name]}" for name, seen in (("helm", built), ("crictl", crictl)) if seen]
    if known and not bad:
        yield passed(", ".join(known))


def _helm(version: str, built: Minor, cluster: Minor, facts: Facts) -> Finding:
    oldest = (built[0], built[1] - HELM_OLDER)
    newest = max(HELM_BUILT_FOR.values())
    least = versions.text(min(helm for helm, minor in HELM_BUILT_FOR.items() if minor == min(cluster, newest)))
    return warned(
        f"helm {version}, built for Kubernetes {versions.text(oldest)} to {versions.text(built)}; the profile's: {versions.text(cluster)}",
        wanted=f"helm {least}" + (" or newer" if cluster > newest else ""),
        subject="helm",
        fix=Fix(
            f"put helm {least} where {facts[Tools].paths.get('helm', 'helm')} is (https://get.helm.sh)", FixKind.EDIT
        ),
        evidence=(Evidence(facts[Tools].paths.get("helm", "helm"), version),),
    )


CHECKS: tuple[Check, ...] = (tool_versions,)
