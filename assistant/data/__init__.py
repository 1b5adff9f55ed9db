"""Examples with known answers: files, public datasets, generated scenes."""
