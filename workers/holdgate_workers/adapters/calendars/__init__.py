"""Calendar objects (RFC 5545): an invitation per booking, a feed per product."""
