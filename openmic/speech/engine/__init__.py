"""One thread that serves every stream: scheduling, admission by measured costs."""
