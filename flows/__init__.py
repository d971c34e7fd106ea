"""When, and in what order (Prefect)."""
