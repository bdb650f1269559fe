"""Words and definitions that the pages of studies and runs share."""
