"""The dictionary of the columns of all tables."""
