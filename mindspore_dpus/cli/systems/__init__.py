"""What the verbs that use a finished run do, system by system."""
