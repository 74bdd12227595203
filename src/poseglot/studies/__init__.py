"""Studies: grids of recipes that are trained, evaluated and put into a table, without anybody copying a number."""
