"""A stand-in for Colab's own package: importable means "this is Colab"."""
