"""The verdict on an on-sale, counted again from rows and notes.

May import the domain and the language.
"""
