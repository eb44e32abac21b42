"""Who may come in: origins, addresses, tokens, and how many at once."""
