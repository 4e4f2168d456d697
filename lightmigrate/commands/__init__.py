"""One function per command: typed arguments in, a typed result out.

Nothing here prints, reads a terminal or ends the process, so that the command line, a web page and a script call the
same functions. `conversation.py` says how a command reports progress, shows what it has found so far and asks;
`arguments.py` and `database.py` have the arguments that several commands take.
"""
