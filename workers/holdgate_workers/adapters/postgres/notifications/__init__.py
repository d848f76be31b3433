"""What notifications read, and the log of their deliveries.

May import the connection, the ports, the domain.
"""
