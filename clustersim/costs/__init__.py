"""Energy use, purchases and cost of a run."""
