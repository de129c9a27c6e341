"""What makes a CPU fast: loops of our own in place of slow operators."""
