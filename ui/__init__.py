"""Browser chat."""
