"""Networks; the learned methods will live here."""
