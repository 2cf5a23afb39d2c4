"""When and where dispatches run. Their rows in the store are the truth, whatever an engine does."""
