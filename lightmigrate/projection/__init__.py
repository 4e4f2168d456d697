"""The projection: a function from old vectors (and the stored texts) to new vectors. Knows no database."""
