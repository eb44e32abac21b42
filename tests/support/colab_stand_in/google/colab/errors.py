"""Where Colab keeps the base of its errors."""


class Error(Exception):
    """Base of Colab's errors."""
