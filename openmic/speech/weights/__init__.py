"""Where weights come from, and which model a machine gets."""
