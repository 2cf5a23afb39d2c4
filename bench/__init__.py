"""How fast it is, side by side with a bare server and with what people would use instead. See README.md."""
