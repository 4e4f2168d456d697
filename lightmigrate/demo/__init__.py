"""The whole job on a small real database: see `demo.run`. The data's licences are in `data/LICENSE.md`."""
