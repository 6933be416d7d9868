"""The names of a network: whatever weft invents is kept apart from what the model has."""

from collections.abc import Iterable


class Names:
    """All names of one kind (of tensors, of operators) in one network.

    The same requests in the same order get the same names, so output stays byte-identical.
    """

    def __init__(self, given: Iterable[str] = ()):
        """given: the model's own names, which are never invented."""
        self._taken = {"", *given}
        self._held: set[str] = set()

    def new(self, wanted: str) -> str:
        """A name for what weft invents: ``wanted``, with a number where that is taken."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def hold(self, name: str) -> str:
        """A name of the model, or a new one, for what bears it; another one for all that follow."""
        if not name or name in self._held:
            name = self.new(name)
        self._taken.add(name)
        self._held.add(name)
        return name
