"""What a spec asks of a node, held against what the node's profile offers.

The same for the oracles that place a job and for the payer who seals secrets for it.
"""

from typing import Final

from workdeed.intent import tags
from workdeed.intent.spec import Spec
from workdeed.protocol.messages import NodeProfile

MET: Final = ""
"""What `unmet_wish` returns where nothing is."""


def unmet_wish(spec: Spec, profile: NodeProfile) -> str:
    """Return which wish for runners and tags a node does not meet, `MET` if it meets all.

    Resources are not looked at: what is left of them, only the chain tells.

    Raises:
        TagError: on any malformed expression of the spec, a preference included.

    """
    wishes = spec.placement
    missing = tags.unmet(wishes.tags, profile.tags)
    excluded = [one for one in wishes.exclude if tags.matches(one, profile.tags)]
    tags.count_met(wishes.prefer, profile.tags)
    lacking = sorted(spec.runners - set(profile.runners))
    if lacking:
        return f"it has no runner {lacking[0]}"
    if missing is not None:
        return f"its tags do not meet {missing}"
    return f"its tags meet {excluded[0]}, which is excluded" if excluded else MET


def preference(spec: Spec, profile: NodeProfile) -> int:
    """Return how many preferred tags a node lacks, 0 for the best."""
    preferred = spec.placement.prefer
    return len(preferred) - tags.count_met(preferred, profile.tags)
