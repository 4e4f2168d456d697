"""What databases with aliases have in common: a version is a collection of its own, and an alias puts it in place."""
