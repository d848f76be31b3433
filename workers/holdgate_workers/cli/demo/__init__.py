"""`holdgate demo` and `holdgate simulate`.

May import the demo and the other folders of the command line.
"""
