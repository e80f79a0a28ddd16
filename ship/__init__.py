"""How caasctl leaves the checkout: one file, a Debian package, and what both carry (docs/adr/0024)."""
