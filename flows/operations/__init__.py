"""What operators see and steer in Prefect, and by command where Prefect is away."""
