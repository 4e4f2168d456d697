"""Safe migration: build the new database aside, verify it, exchange it in one step; and the rollback."""
