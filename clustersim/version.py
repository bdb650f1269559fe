"""The version of the package, without importing anything.

It is bumped by hand, because a clone without tags and an sdist must build alike.  After a release,
``X.Y.Z.dev0`` of the next one is set here and ``## X.Y.Z (unreleased)`` begins CHANGELOG.md; a
release takes both additions away, and its commit is tagged ``vX.Y.Z``.  A test compares the two.
What tells two states of the code apart in between is the hash of its files
(:mod:`clustersim.source_code`).
"""

__version__ = "0.2.0.dev0"
