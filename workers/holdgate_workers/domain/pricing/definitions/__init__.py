"""Products, vouchers and fees as people write them: read, checked, described.

May import the pricing rules and the language.
"""
