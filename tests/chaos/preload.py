"""What the process is made of that victims are forked from: imports, and what is built once."""

from __future__ import annotations

import sqlalchemy.dialects.postgresql.psycopg  # noqa: F401 - so that victims find it loaded

from tests.chaos import victim
from workdeed.chain.bindings.codec import event_codecs
from workdeed.chain.bindings.committee import OracleCommittee
from workdeed.chain.bindings.desk import JobDesk
from workdeed.chain.bindings.escrow import JobEscrow
from workdeed.chain.bindings.licenses import NodeLicense
from workdeed.chain.bindings.registry import TrustRegistry
from workdeed.chain.bindings.tariff import Tariff

for contract in (JobEscrow, JobDesk, OracleCommittee, NodeLicense, TrustRegistry, Tariff):
    event_codecs(contract)
victim.the_spec()
