"""Language models of the person's own: chat messages in, pieces of an answer out."""
