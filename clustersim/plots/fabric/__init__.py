"""Pictures of fabrics, and of the load of their links."""
