"""The systems: each a configuration, a list of stages, report sections. None imports another."""
