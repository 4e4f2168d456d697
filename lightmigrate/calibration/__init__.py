"""Where calibration pairs come from: the user's own collection, a file of texts, or a packaged corpus."""
