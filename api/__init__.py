"""How is it reached and run? HTTP, the command line, and the one place that wires it all."""
