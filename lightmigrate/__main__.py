"""`python -m lightmigrate` is the command line."""

from lightmigrate.cli import main

main()
