"""Operators' means: jobs, brakes, alerts and true ends of runs, in Prefect and by command where Prefect is away."""
