"""`holdgate doctor`: one module for each group of checks.

May import the wiring and the other folders of the command line.
"""
