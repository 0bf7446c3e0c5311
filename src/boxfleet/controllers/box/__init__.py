"""Box to Units, and the Box's status from theirs; README.md lists the steps."""
