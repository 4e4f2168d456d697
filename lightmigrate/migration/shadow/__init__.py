"""Migration of an open database: builds a new version of a collection in it, verifies it, and exchanges the two."""
