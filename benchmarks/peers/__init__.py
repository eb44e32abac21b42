"""Other programs that do this job, for comparison."""
