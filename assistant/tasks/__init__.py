"""What an adapter is called, reads and was made from: prompts, recipes, folders."""
