"""Images -> vectors (``extract``, with MindSpore) -> whitened vectors (``whiten``, without)."""
