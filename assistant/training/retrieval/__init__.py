"""Training of a fusion head for retrieval, from texts, pictures and clips of the same events."""
