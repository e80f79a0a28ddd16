"""Files that the API server reads: audit policy, admission, encryption at rest; as data."""

from __future__ import annotations

from typing import Any

from caasctl.profile import NodeProfile

_PROBES = ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]
_SECRET = [{"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
           {"group": "authentication.k8s.io", "resources": ["tokenreviews"]}]  # fmt: skip
_NOISY = [{"group": "coordination.k8s.io", "resources": ["leases"]}, {"group": "", "resources": ["events"]},
          {"group": "events.k8s.io", "resources": ["events"]}]  # fmt: skip


def audit_policy() -> dict[str, Any]:
    """The first rule that matches decides. Nobody's secret is written down; who read or changed what is."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": True,
        "rules": [
            {"level": "None", "nonResourceURLs": _PROBES},
            {"level": "None", "resources": _NOISY},
            {"level": "Metadata", "resources": _SECRET},
            {"level": "None", "verbs": ["watch"], "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
            {"level": "Metadata", "verbs": ["get", "list", "watch"]},
            {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
            {"level": "Metadata"},
        ],
    }


def admission(profile: NodeProfile) -> dict[str, Any]:
    """What namespaces without a label of their own enforce; kube-system is where the cluster's own pods are."""
    level = profile.spec.kubernetes.podSecurity
    warn = "privileged" if level == "privileged" else "restricted"
    defaults = {"enforce": level, "audit": level, "warn": warn}
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [
            {
                "name": "PodSecurity",
                "configuration": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1",
                    "kind": "PodSecurityConfiguration",
                    "defaults": {**defaults, **{f"{mode}-version": "latest" for mode in defaults}},
                    "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": ["kube-system"]},
                },
            }
        ],
    }
