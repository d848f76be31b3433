"""With Redis, where it is used: it may be absent."""
