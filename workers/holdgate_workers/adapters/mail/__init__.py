"""Mail: its words (Jinja templates), its form (MIME), and where it goes (an SMTP server or a folder)."""
