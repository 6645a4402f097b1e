"""Nothing is published that was not compared with its library.

made       rows that a model's own bytes ask for: each threshold from both sides, categories, holes
           (`forest_rows`, `linear_rows`, `transform_rows`, `graph_rows`, and `likely` ones of an object)
library    what the library itself answers for rows (`frames` as it wants them; `child` asks it of a file)
compare    the difference, and a table of the rows where it is too large
check      both of them and the trial in a cell-like process, for an object and for a file
"""
