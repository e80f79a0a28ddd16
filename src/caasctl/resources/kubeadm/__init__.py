"""What kubeadm brings about: a cluster that is begun or joined, the key of its secrets, its kubeconfig for people."""
