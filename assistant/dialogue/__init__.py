"""What is said: subtitle files and tracks, speech, turns."""
