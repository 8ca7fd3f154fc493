"""What may be read? Read models folded from the log, and the runner that keeps them exact."""
