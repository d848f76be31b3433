"""The table of tasks, and how the journal fills it.

May import the connection and the ports.
"""
