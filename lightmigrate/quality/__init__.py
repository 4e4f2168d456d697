"""Numbers that can fail: how much of a space a projection keeps."""
