"""Reports: plots and pages made from runs, stores and description sets."""
