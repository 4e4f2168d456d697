"""At home in the frameworks that applications are written with, one module each; and what these have in common."""
