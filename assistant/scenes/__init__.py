"""Generated images with captions and questions."""
