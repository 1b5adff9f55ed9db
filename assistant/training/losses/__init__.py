"""What is learned beside the LLM's own loss; a file each."""
