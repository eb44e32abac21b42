"""Access checks: origins, addresses, tokens, and the number of connections."""
