"""One attempt to reach one receiver, written down before and after.

May import the domain and the ports.
"""
