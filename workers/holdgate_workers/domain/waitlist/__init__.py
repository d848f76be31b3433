"""Waiting lists: who stands in line, and what is offered.

May import the other folders of the domain, and the language.
"""
