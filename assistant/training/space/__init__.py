"""Training of mini's joint space from photos with captions or labels."""
