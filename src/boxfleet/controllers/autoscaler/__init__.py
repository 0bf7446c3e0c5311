"""What is said of HorizontalPodAutoscalers as long as nothing acts on them; README.md lists the steps.

Belongs here: scaling by what is measured. Does not: measuring.
"""
