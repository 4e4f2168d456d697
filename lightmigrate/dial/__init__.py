"""The dial between a free map and embedding everything again: what each setting costs, keeps, and how to turn it."""
