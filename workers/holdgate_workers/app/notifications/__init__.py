"""Telling the world: what is told to whom and when, decided without I/O. Everything is off until it is configured."""
