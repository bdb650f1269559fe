"""Text, tables and figure of an outlook."""
