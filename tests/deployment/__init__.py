"""What an operator does with a running service: upgrades it node by node, and puts its database back to what it was."""
