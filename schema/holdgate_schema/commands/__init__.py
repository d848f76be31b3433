"""Commands: what may be asked for.

May import the fields and views of the language.
"""
