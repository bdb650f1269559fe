"""Analysis of results: the registry of metrics, the built-in metrics, and statistics."""
