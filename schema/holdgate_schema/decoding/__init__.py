"""Reading strictly, and saying everything that is wrong.

May import the whole language.
"""
