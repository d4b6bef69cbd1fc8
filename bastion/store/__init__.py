"""The store: the only SQL of bastion. Its words:

**database**: the file, its readers and its one writer. **statements**: `users`, `hosts`, `grants`,
`ledger`, `jumps`, each taking a connection and giving back values, never rows. **store**: what the
other rooms see; each of its methods is one transaction.
"""

from bastion.store.store import Store

__all__ = ["Store"]
