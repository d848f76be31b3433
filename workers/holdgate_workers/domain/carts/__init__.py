"""Carts as the gate sees them.

May import the other folders of the domain, and the language.
"""
