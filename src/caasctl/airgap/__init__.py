"""Nodes without a way out: what a profile needs, fetched into one folder, and that folder judged before it is used."""
