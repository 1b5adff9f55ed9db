"""MTransLLAMA as a person meets it: one clip or dialogue, one conversation, its answers."""
