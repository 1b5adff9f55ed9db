"""Tasks: what a question needs beside the prompt."""
