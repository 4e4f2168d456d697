"""`python -m lightmigrate_train …` is `lightmigrate train …`, on the GPU where there is one."""

import sys

from lightmigrate.cli import main

main(["train", *sys.argv[1:]])
