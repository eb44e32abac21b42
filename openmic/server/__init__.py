"""FastAPI: the wire, the limits, the page, and the thread that serves inside a notebook."""
