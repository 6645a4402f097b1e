"""What messages say of rows and answers. Imports no other room.

`plain` reads natively what nearly every caller sends, and leaves the rest. The general readers take all of
it, against a model's `signature`: `tensors` those of ModelInfer (`contents` their values), `rows` the items
of the prediction API (`values` one by one). What a router fetched for them is put in where the caller sent
nothing: `complete` natively, `given` in general. `messages` is between bytes and protobuf's messages,
`answers` refuses what no message could hold before it is scored, and `fence` what an old shard map dealt.
Where both ways read a message they say the same: tests compare them (docs/decisions/0014).

To read it: `signature`, `tensors`, `rows`; then `plain`.
"""
