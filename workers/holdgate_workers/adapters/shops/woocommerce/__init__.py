"""WooCommerce's REST API v3 as an order gateway.

May import the HTTP client and the ports.
"""
