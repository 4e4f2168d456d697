"""The ways to a new model, compared on one scale before much is spent: embed everything, project, or a part of each."""
