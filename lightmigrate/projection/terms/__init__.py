"""The terms a projection can be the sum of, one file each; `all` lists them."""
