"""The handlers that ship with Receiver, one file each."""
