"""Load tests of whatever answers predictions by the Open Inference Protocol, or by Croupier's own.

    app         the command; `outcome`: how it ends, `summary`: what it says
    scenario    what is asked for, as a TOML file says it: its tables `target`, `load`,
                `classes` and `levels`, read by `keys`
    mix         which model each request is for; `arrivals`: when each is due; `requests`: their bytes
    run         one run, by `worker` processes; `events` happen meanwhile; `judging`: whether it counts
    sending     the loop of a worker, on `lines` and `streams`, woken by a `timer`; `source`: what it sends
    ends        errors and wrong answers; `gathering`: what all workers saw, put together
    cells       which cells answered, by what replies say; `cell_names`: what a version manager calls them
    histogram   latencies, merged; `result`: all that a run saw; `about`: when and on what
    verify      which answer is right, of `models` that `publish` made; `replies`: what is read of them
    search      the highest rate at which a service level holds
    record      requests out of the log of Croupier; `replay`: played again
    live        how it goes, in a terminal; `report`: how it went
    compare     two runs, by `resampling` their seconds; `quantiles` of several histograms
    words       figures and words of others, as people read them

It knows nothing of what serves.
"""
