"""From the trained members to one graph in a file (``deploy`` is what reads it)."""
