"""Traffic signs in road frames: proposals, place filter, background and sign networks, suppression."""
