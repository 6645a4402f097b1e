"""What the shard map would do, and whom it serves: counted over all tenants there are.

planner      what operators ask: checks it, and answers
plans        what another generation would do, as a message
blasts       who is hurt when cells break, as a message
on_cell      who has a cell in its hand, as a message
population   the tenants of a catalog as arrays, with the rates that routers tell
worker       the one thread in which all of that is counted
"""
