"""What a distance means before and after a migration, for applications that cut off results by a threshold."""
