"""Node events of a scenario, such as failures, deliveries and reservations by services."""
