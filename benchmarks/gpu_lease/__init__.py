"""A GPU's figures from a machine that reaches no network: packed here, carried there in parts, run within minutes."""
