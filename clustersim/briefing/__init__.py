"""The answer about a fleet: what it trains and serves, at what risk, and what to buy."""
