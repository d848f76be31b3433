"""The client's two faces: for threaded and plain programs, and for asyncio.

May import everything else of the client.
"""
