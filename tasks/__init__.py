"""One retryable call each (Prefect): plain data in, plain data out."""
