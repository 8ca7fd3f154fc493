"""Where are seeds kept? Encrypted in one file, under a key that is not in it."""
