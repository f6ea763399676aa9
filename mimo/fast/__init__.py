"""Form images faster than the exact sum, each way for its kind of geometry."""

__all__ = []
