"""Objects of an object store, through fsspec: what `files` is for a file system.

`system` opens one and tries again what fails in passing, `folder` lists, reads and puts what is below a prefix, `path`
makes that look like a folder to those who read files, `scratch` keeps copies on this machine, `lock` lets one run work
at a time, and `pointer` says which prefix is the dataset.
"""

from lightmigrate.objects.pointer import dataset_path as dataset_path
