"""Control variates of a run whose expectation is known: what arrived, was delivered and failed."""
