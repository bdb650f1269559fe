"""Risk as probability: what a fleet can do by month, over thousands of draws of what may happen."""
