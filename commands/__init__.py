"""What may be asked? One file per command (its fields and its pure `decide`), and the engine."""
