"""Ways out of the house: one folder a channel, all in the same shape."""
