"""dnsmasq: the name server of a host.

Belongs here: its command line, its files, looking after it. Does not: which names there are.
"""
