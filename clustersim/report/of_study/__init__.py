"""Parts of the report of a study."""
