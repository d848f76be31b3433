"""One example of every message, as the published contract shows them.

May import the whole language.
"""
