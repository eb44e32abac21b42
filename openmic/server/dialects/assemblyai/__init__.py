"""AssemblyAI's streaming interface, v3 (assemblyai.com/docs/api-reference/streaming-api)."""
