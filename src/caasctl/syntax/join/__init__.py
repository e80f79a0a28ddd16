"""What a node needs to join a cluster: what the user gives, and what the cluster publishes of itself."""
