"""A simulated fleet under the very rule: how many devices ever run a bad model."""
