"""Bookings: a hold that is turned into an order, and back.

May import the other folders of the domain, and the language.
"""
