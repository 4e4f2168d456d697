"""The pages, one module for each kind: what they read, and what their forms start."""
