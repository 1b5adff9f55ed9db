"""How the object head learns: from photos with boxes, and from what texts say of colors."""
