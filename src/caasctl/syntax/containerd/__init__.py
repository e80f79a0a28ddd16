"""containerd: its configuration files, what it prints, and what caasctl wants of it."""
