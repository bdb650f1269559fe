"""Capacity searches: what they measure, which runs they need, and the tables of their results."""
