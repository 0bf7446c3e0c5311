"""What every driver of a port must do, and its in-memory stand-in as well.

Each suite is a class of tests; a test module inherits it and gives the fixture that it asks for.
Belongs here: behaviour that the port promises. Does not: what only one driver does.
"""
