"""Unit to instances: claims, files and Pods, in dependency order; README.md lists the steps."""
