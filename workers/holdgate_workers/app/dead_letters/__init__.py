"""What becomes of a dead letter.

May import the domain and the ports.
"""
