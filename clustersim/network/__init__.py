"""Links and collectives: what communication costs, fitted to measurements."""
