"""Products, vouchers and quotes.

May import the connection, the ports, the domain.
"""
