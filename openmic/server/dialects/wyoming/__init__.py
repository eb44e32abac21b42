"""Wyoming, the protocol of Home Assistant's voice services (github.com/OHF-Voice/wyoming)."""
