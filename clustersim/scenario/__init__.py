"""A scenario document, its changes and cases, and the run that it describes."""
