"""The whole house at work, in two acts: `python -m bench demo`.

    stage      models of many tenants are trained, published, and loaded by a fleet of real processes
    act one    as many requests as are answered; a cell is killed
    act two    a fixed rate of requests while one tenant hurts its hand: who feels it is compared with who
               should, by the dealer

Every answer is compared with the training library's own, on the values that it says it used where features
are `stored`. What decides is printed beside what was seen.

`play` plays both (`act_one`, `act_two`) on a `stage`. `loading` asks, in a process of its own, what `asking`
has encoded; `poison` hurts, by cells (`poison_cell`) that have one engine more (`poison_engine`). `sharing`
says who shares how much of a hand, `judging` what follows; `page` and `plot` show it.
"""
