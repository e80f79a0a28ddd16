"""Kata's tree from a checked tarball, and each handler's own configuration beside the vendor's."""
