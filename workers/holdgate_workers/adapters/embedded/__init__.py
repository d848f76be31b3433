"""The embedded mode: PostgreSQL started by us, and the queue inside it."""
