"""From jobs and a cluster to result tables: run times, eligibility, offered load, the run."""
