"""Pictures of results: each plot takes a table and axes, and makes no decisions."""
