"""Image formers that are quicker than the exact sum, each for its kind of geometry."""
