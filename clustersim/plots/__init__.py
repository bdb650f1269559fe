"""Pictures of results: each plot takes a table and axes, and decides nothing."""
