"""Scale benchmark of the orchestrator: the real ingress and recipes over scripted engines."""
