"""The whole loop on one machine, played by `make demo`."""
