"""Work that follows from decisions: planned, claimed, done, tried again.

May import the ports.
"""
