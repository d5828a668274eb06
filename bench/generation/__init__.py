"""Generated sound beside its corpus."""
