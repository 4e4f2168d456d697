"""What was embedded: a typed description of where a collection's embedded text comes from, found and checked."""
