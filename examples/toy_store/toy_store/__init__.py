"""A store in one JSON file, added to lightmigrate by an entry point."""

from lightmigrate.stores.kind import StoreKind

KIND = StoreKind("toy", marks=("*.toy",), open_path="toy_store.store:ToyStore")
