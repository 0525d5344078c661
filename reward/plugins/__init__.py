"""Rewards that come with the package, found by name through the entry points `esarm.rewards`."""
