"""What dpkg and apt write and read: stanzas, sources, configuration, preferences."""
