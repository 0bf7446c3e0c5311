"""What tests hold in the hand: conformance suites of the ports, stand-ins, test beds.

Belongs here: things that several test folders use. Does not: tests.
"""
