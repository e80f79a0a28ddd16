"""Objects of a Kubernetes cluster as text: whose they are, which fields of them are ours, why a pod does not run."""
