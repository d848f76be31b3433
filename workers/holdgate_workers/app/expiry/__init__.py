"""The expiry worker's protocol.

May import the domain and the ports.
"""
