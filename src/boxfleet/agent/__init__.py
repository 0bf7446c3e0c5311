"""What runs on every host: makes the bound Pods real and reports what became of them.

Belongs here: the duties of a kubelet, on ports. Does not: any one runtime, network or name server.
"""
