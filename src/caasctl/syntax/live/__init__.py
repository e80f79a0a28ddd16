"""Objects of a cluster as kubectl prints them in JSON, as typed values: whatever is missing or of another shape is empty."""
