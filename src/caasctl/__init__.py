"""caasctl turns a bare Linux host into a multi-tenant GPU Kubernetes node, and says what is wrong when it is not one."""

__version__ = "0.1.0"
