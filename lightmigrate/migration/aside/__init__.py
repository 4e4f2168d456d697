"""A database that is files: a new one is built aside, verified, and takes its place in one step."""
