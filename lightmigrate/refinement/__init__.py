"""After a migration: which rows are exact, embedding more of them, refitting the projection on them."""
