"""What is run and what was measured, as plain data: specs, the run tree, its cost, tables, the ledger."""
