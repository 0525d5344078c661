"""What more than one algorithm needs."""
