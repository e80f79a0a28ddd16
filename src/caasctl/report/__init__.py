"""A Report as text, JSON, YAML, JUnit or HTML."""
