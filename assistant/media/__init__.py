"""A clip to frames with their times; the decoders run in a process of their own."""
