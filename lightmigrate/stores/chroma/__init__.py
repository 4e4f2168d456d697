"""Everything that knows Chroma: its files and tables, and its client."""
