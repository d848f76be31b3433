"""Waking workers up, with dramatiq."""
