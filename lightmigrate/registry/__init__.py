"""Which projections there are: folders of files with a `registry.json` that lists them."""
