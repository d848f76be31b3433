"""The rows of conversions and carts.

May import the connection, the ports, the domain.
"""
