"""Energy, purchases and what a run costs."""
