"""What grows old: Events, and Pods whose node is gone; README.md lists the steps."""
