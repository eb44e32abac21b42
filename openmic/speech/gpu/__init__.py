"""The same model for many rows at once on a GPU: KV slots, CUDA graphs."""
