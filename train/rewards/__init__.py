"""Rewards that need a policy, which `reward` may not know of; installed like the others."""
