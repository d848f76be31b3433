"""Prices that are made after the decision.

May import the domain and the ports.
"""
