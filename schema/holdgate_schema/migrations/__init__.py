"""Alembic migrations. `env.py` runs them on a connection that the service hands in."""
