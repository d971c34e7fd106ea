"""Drills: break everything around the ingest on purpose, and count what is lost. `make drill-ingest`."""
