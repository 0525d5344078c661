"""The version of the rules; part of the key of every cached corpus."""

# Raise it with every change to these tables or to the modules that read them, or corpora made
# before are served from the cache.
RULES_VERSION = 4
