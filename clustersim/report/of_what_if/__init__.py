"""The parts of the page of a question about a log."""
