"""The HTTP routes of our own: sessions, downloads, the page."""
