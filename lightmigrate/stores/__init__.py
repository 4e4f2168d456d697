"""Where vectors live: `base` says what a store must do, one module each does it. Knows no projection."""
