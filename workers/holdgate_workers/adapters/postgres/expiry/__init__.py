"""Holds that are due, for the expiry worker.

May import the connection and the ports.
"""
