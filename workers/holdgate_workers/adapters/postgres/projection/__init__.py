"""What the read side in Redis is made from.

May import the connection, the ports, the domain.
"""
