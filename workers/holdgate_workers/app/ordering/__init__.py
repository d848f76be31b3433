"""From a booking to an order in the shop and back: facts, next step, protocol, handler, tasks.

May import the domain and the ports.
"""
