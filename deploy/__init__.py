"""How Receiver is deployed; the package carries the files that its commands use."""
