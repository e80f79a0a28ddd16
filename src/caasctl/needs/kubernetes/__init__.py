"""What kubeadm is told of a node, as data: documents of an init or a join, and the files that the API server reads."""
