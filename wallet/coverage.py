"""Which blocks were scanned for a token, so that what moved in them is counted once."""


class Coverage:
    """All after a height, and ranges below it. A new one covers nothing but what comes after."""

    __slots__ = ("_after", "_ranges")

    def __init__(self, after: int) -> None:
        self._after = after
        self._ranges: list[tuple[int, int]] = []

    def has(self, height: int) -> bool:
        """Return whether the block at a height was scanned for it."""
        return height > self._after or any(a <= height <= b for a, b in self._ranges)

    def has_all(self, first: int) -> bool:
        """Return whether every block from a height on was scanned for it."""
        return first > self._after or any(a <= first and self._after <= b for a, b in self._ranges)

    def add(self, first: int, last: int) -> None:
        """Take in a range, both ends included."""
        merged, rest = (first, last), []
        for each in self._ranges:
            if each[0] <= merged[1] + 1 and merged[0] <= each[1] + 1:
                merged = min(each[0], merged[0]), max(each[1], merged[1])
            else:
                rest.append(each)
        self._ranges = sorted([*rest, merged])

    def disconnect(self, parent: int) -> None:
        """The blocks above a height are gone; those that come instead are scanned for it."""
        self._after = min(self._after, parent)
        kept = ((first, min(last, parent)) for first, last in self._ranges)
        self._ranges = [each for each in kept if each[0] <= each[1]]
