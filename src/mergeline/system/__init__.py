"""The ground floor: files, digests, locks and child processes; it knows nothing of models."""
