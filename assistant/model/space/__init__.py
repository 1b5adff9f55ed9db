"""The joint space of pictures, clips and texts."""
