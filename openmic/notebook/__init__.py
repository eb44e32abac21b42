"""What the notebook shows: dashboard, card, picture."""
