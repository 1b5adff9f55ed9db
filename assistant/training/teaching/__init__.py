"""Tasks that are taught from a few clips: their sets on disk, their training, its progress."""
