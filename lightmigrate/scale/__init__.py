"""The same projection over a folder of more files than one process should convert: one unit is one file.

`convert` is what a worker does with a unit, `executor` says where workers run (`processes` of this machine,
`ray_tasks` of a cluster), `manifest` what they have done, `workspace` where it lies and how the folders are exchanged,
and `migration` is all of it.
"""
