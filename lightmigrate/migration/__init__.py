"""The safe move: build the new database aside, verify it, exchange it in one step, and back again."""
