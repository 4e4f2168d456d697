"""Before a migration: what each part of the cost of embedding everything buys; and carrying out what was chosen."""
