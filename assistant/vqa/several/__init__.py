"""Several clips in one conversation: which of them, all of them, what differs."""
