"""What the gate loads and commits. The hot path: statements are packed by hand.

May import the connection, the ports, the domain.
"""
