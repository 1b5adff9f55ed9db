"""Paper-scale backends: InstructBLIP checkpoints from the hub or a folder."""
