"""Change the embedding model behind a vector database without embedding everything again.

The public names are listed once, in `__init__.pyi`, which type checkers read; at run time each is imported when it is
first used. Errors are in `lightmigrate.errors`.
"""

from lightmigrate.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
