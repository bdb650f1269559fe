"""Why the jobs of a finished run waited, from its tables."""
