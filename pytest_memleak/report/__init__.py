"""The same facts for people and machines. Pure."""
