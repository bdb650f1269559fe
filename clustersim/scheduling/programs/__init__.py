"""Programs that divide a heterogeneous cluster among jobs, without a clock."""
