"""Where things are kept. Siblings never import each other."""
