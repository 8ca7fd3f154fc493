"""How fast is it? Measured on this machine, at this commit."""
