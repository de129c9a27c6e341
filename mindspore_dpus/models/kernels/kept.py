"""The plans of the last few shapes of a batch, which take long to make."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

Plan = TypeVar("Plan")


def recall(
    plans: "OrderedDict[Hashable, Plan]", key: Hashable, create: Callable[[], Plan], most: int
) -> Plan:
    """A plan that is kept, or a new one; the one that was not asked for the longest is then dropped.

    Args:
        plans: the kept ones, the latest last.
        key: what the plan is for.
        create: makes it; what it raises leaves ``plans`` as they are.
        most: so many are kept.
    """
    if key not in plans:
        plans[key] = create()
        if len(plans) > most:
            plans.popitem(last=False)
    plans.move_to_end(key)
    return plans[key]
