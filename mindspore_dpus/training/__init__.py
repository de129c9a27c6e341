"""One member (step, trainer, checkpoint) and t of them (ensemble)."""
