"""Occurrences: what is put on sale, how much of it is free, and which alerts that gives.

May import the other folders of the domain, and the language.
"""
