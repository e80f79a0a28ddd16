"""The way of this node from its Kubernetes to another one: what is here, what upstream refuses, and the steps one minor at a time."""
