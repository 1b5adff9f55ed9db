"""Training of a head of events on labelled segments of clips."""
