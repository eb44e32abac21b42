"""openmic's own WebSocket protocol (docs/protocol.md)."""
