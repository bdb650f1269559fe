"""The version of the package, importable without other modules.

The version is set by hand, because a clone without tags must build like an sdist.  After a
release, it is set to ``X.Y.Z.dev0`` of the next release, and CHANGELOG.md begins with
``## X.Y.Z (unreleased)``.  A release removes both additions, and its commit is tagged ``vX.Y.Z``.
A test checks that the version and CHANGELOG.md agree.  Between releases, the hash of the files
distinguishes two states of the code (:mod:`clustersim.source_code`).
"""

__version__ = "0.2.0.dev0"
