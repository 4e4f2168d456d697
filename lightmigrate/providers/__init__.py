"""Providers of embeddings: one file for each, all with one protocol, and a cache."""
