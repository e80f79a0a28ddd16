"""The objects that caasctl has in a cluster, as data."""
