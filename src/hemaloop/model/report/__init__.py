"""Pages that people read: one self-contained HTML file, no network, no JavaScript needed, light and dark, printable."""
