"""What devices and cloud say to each other. Pure functions and values; no input or output."""
