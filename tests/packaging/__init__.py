"""Checks of what is installed: the wheel, and every example of the README and the help texts."""
