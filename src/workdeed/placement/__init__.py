"""Which licenses serve a job: the same answer for every oracle that computes it. Pure: no I/O.

`choose` makes a placement out of the books at one block, `check_proposal` tells whether another's
proposal is that placement.
"""

from workdeed.placement.choose import Placement, candidates, choose, queue, releases
from workdeed.placement.errors import PlacementError, PlacementRefusedError
from workdeed.placement.profiles import Profiles
from workdeed.placement.proposals import check_proposal, relevant_skips
from workdeed.placement.rules import View, obstacle, obstacles

__all__ = [
    "Placement",
    "PlacementError",
    "PlacementRefusedError",
    "Profiles",
    "View",
    "candidates",
    "check_proposal",
    "choose",
    "obstacle",
    "obstacles",
    "queue",
    "releases",
    "relevant_skips",
]
