"""The plan of a release, the ledger, and the bundle that one job leaves for another."""
