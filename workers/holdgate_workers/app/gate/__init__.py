"""The gate: deliveries in, one durable answer each out.

May import the domain and the ports.
"""
