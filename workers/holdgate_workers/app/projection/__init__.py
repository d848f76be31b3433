"""The read side's protocol: from the journal's rows to Redis.

May import the domain and the ports.
"""
