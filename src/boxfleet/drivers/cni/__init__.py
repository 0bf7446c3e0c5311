"""CNI: the network of a host by the standard plug-ins, with addresses from the ledger.

Belongs here: a bridge, the plug-ins' configuration, our IPAM plug-in, packet rules. Does not: choosing addresses.
"""
