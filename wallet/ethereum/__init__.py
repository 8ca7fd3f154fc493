"""How is Ethereum, and every chain that works like it, read, paid on and run for development?"""
