"""`holdgate up`, `worker`, `migrate`, `installation` and `settings`.

May import the roles, the wiring and the other folders of the command line.
"""
