"""`holdgate hold` and `holdgate history`.

May import the wiring, the language and the other folders of the command line.
"""
