"""Nothing is published that was not compared with its library.

made       rows that a model's own bytes ask for: each threshold from both sides, categories, holes
library    what the library itself answers for rows
compare    the difference, and a table of the rows where it is too large
check      both of them and the trial in a cell-like process, for an object and for a file
"""
