"""Pure functions over the texts of other programs."""
