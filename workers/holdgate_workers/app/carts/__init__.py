"""Carts over several occurrences: the next step, and the protocol that takes it.

May import the domain and the ports.
"""
