"""Soniox's real-time interface (soniox.com/docs/stt/api-reference/websocket-api)."""
