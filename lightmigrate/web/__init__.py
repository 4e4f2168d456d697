"""The page: databases, their migrations and searches in a browser, on the layer of commands and with no other logic.

`serve.py` starts it, `guard.py` keeps others out, `databases.py` has what it was started with, `runs.py` what works on
them, `views/` one module per kind of page. Curves and pictures are SVG made here (`plots.py`); no page loads anything
from elsewhere.
"""
