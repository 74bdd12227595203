"""Reports: pictures and pages made from runs."""
