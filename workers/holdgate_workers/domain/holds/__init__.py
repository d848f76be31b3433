"""Holds: placed, changed, extended, released, expired.

May import the other folders of the domain, and the language.
"""
