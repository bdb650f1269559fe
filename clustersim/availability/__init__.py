"""Node events of a scenario: failures, repairs, deliveries, retirements, services."""
