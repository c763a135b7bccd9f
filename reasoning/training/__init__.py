"""Training: the engine, its plan, a run from settings to results, several seeds."""
