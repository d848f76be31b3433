"""Answers: what a request comes to.

May import the fields and views of the language.
"""
