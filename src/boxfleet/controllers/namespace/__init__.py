"""What every Namespace has, and its emptying before it goes; README.md lists the steps."""
