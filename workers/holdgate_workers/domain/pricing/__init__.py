"""Pricing, pure: a product, a basket and an occasion in, a quote or the reason why there is none out.

`engine.price` is the way in; `checks` says what is wrong with a product before anybody prices with it; `explaining`
lays a quote out for people. The order of the rules is that of docs/pricing.md, one module for each step of it.
"""
