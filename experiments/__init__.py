"""What was found out by experiment: a command each, and what it printed in results/."""
