"""The published contract: AsyncAPI, JSON Schemas, slots and topology, generated from the code.

May import the whole language; no part of the language imports it.
"""
