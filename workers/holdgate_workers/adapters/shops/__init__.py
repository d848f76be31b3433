"""Order gateways: a table of our own, WooCommerce, and any shop that takes signed requests."""
