"""`python -m lightmigrate_train …` is `lightmigrate train …`, on the GPU where there is one."""

import sys
from importlib.util import find_spec

from lightmigrate.cli.app import main
from lightmigrate.errors import MissingExtraError

if find_spec("torch") is None:
    sys.exit(f"error: {MissingExtraError('torch', 'train')}")
main(["train", *sys.argv[1:]])
