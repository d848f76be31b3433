"""Which worker consumes which partition queue.

May import the ports.
"""
