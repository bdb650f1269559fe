"""Links and collectives: communication times, fitted to measurements."""
