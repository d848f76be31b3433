"""What messages are made of: fields, characters, currencies, products, quotes, views.

May import ids and errors of the language.
"""
