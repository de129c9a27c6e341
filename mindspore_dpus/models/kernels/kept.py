"""The plans of the last few shapes of a batch, which take long to make."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Plan = TypeVar("Plan")


class Plans(OrderedDict, Generic[Plan]):
    """Those of a network or a layer, the latest last.

    They hold memory of oneDNN's, so a copy is empty: the copied network makes its own.

    Args:
        most: so many are kept.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __deepcopy__(self, memo: dict) -> "Plans[Plan]":
        return Plans(self.most)

    def recall(self, key: Hashable, create: Callable[[], Plan]) -> Plan:
        """A plan that is kept, or a new one; the one that was not asked for the longest is then dropped.

        Args:
            key: what the plan is for.
            create: makes it; what it raises leaves all as they are.
        """
        if key not in self:
            self[key] = create()
            if len(self) > self.most:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]
