"""How results look in a terminal: tables on stdout, progress and questions on stderr."""
