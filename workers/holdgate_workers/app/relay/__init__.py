"""Telling the journal's events to the topic exchange.

May import the ports.
"""
