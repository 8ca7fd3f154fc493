"""Can it be proven? Replay, verification and exports."""
