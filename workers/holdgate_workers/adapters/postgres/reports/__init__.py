"""Reads for people: catalogue, history, sales, statistics. Nothing is written.

May import the connection and the domain.
"""
