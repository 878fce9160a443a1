"""A thin proxy over the replicas of one job, for the clients of who pays for it.

`Gateway` joins the parts: `Watch` asks keepers for the replicas, `Pool` chooses among them, `Proxy`
carries requests there and answers back.
"""

from workdeed.sdk.gateway.gateway import Gateway
from workdeed.sdk.gateway.settings import GatewaySettings

__all__ = ["Gateway", "GatewaySettings"]
