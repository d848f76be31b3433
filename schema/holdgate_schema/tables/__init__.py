"""The database: one definition of the tables. Needs the `[service]` extra.

The hot path writes them with statements of its own (see the PostgreSQL adapter); everything else, and the
migrations' check that nothing has drifted, uses these.
"""

from __future__ import annotations

from . import gate as gate
from . import house as house
from . import selling as selling
from .base import XID8 as XID8
from .base import metadata as metadata
