"""Who signs, and what? A process of its own that checks each transaction itself, then signs."""
