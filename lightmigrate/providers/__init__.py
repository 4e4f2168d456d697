"""Who computes embeddings: one small file for each provider, all with one protocol, and a cache before them."""
