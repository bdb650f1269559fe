"""The page of a briefing: headlines, four figures, a table and caveats, as HTML and PDF."""
