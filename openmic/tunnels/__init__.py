"""A public URL for a local port."""
