"""Objects in a cluster, by kubectl and server-side apply."""
