"""How do coins come and go? Chains, keys and the custody processes."""
