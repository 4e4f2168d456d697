"""`python -m lightmigrate` is the command line."""

from lightmigrate.cli.app import main

main()
