"""Corpora as users have them: chunks without titles, code, short messages, other languages; built from packages."""
