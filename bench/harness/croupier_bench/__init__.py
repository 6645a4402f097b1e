"""Load tests of whatever answers predictions by the Open Inference Protocol, or by Croupier's own.

    app         the command
    scenario    what is asked for, as a TOML file says it
    mix         which model each request is for; `arrivals`: when each is due; `requests`: their bytes
    run         one run, by `worker` processes, each of which is `sending` its part; `events` happen meanwhile
    histogram   latencies, merged; `result`: all that a run saw
    verify      which answer is right, of models that `publish` made
    search      the highest rate at which a service level holds
    replay      logged requests, played again
    live        how it goes, in a terminal; `report`: how it went; `compare`: two runs

It knows nothing of what serves.
"""
