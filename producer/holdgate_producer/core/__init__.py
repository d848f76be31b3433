"""What the client knows without a wire: open requests, their answers, deadlines and errors.

May import the language.
"""
