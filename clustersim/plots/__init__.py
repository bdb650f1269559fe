"""Figures of results. Each plot function draws the data of a table that its caller chooses."""
