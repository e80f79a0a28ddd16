"""What the generated pages of the documentation are made of: a file for each kind of page; `tree` has them all."""
