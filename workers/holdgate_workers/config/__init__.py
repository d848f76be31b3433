"""What a process is told by its environment, read once and checked as a whole.

May import the language and the use cases' values.
"""
