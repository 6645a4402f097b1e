"""Who stays in memory, by bytes and with leases; pure. Imports no other room.

`residency` keeps one slotted entry for each model (`entries`), which carries the links of whatever queue it
stands in: at most 250 bytes in all. The policy (`policies`, with the `ghosts` of those that went;
docs/decisions/0009) only says in which order models would go. Leases are passed over; pinned models and
those of a group at its floor (`floors`) are parked outside the policy's queues until they may go, so that
no search for room meets them twice. A load that would push out models used within ten times its own
duration is refused (the churn guard), and bulk loads come in as the next victims.

`walk` goes through all of them, some at a time, hottest first.

To read it: `residency`, `policies`, `floors`, `entries`, `ghosts`.
"""
