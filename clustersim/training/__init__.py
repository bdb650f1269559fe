"""How long a training takes: on one pool, on a fleet at a date, and the largest model in a time."""
