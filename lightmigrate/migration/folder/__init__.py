"""A closed folder changes models: a copy is built aside, verified, and exchanged with it in one step."""
