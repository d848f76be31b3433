"""Settings: their ranges, their defaults, what they mean.

May import the language.
"""
