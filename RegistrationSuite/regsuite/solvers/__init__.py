"""How one pair of images is solved."""
