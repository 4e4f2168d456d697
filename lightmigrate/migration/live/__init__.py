"""An open database changes models: a shadow collection is kept up, verified, and takes its collection's name."""
