"""The commands of `esarm`, a module for each group."""
