"""Studies: grids of recipes that are trained, evaluated and summarised in a table."""
