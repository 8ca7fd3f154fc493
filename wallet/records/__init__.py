"""What does custody remember? Aggregates of the `eventsourcing` library, one file each."""
