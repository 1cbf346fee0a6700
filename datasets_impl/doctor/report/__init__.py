"""The diagnosis as data, in a terminal and on a page.

`diagnosis` makes it of what was heard, in the terms of `model`: gains by `paired`, the sentence by
`verdict`, beside a training step by `step`, on a machine by `surroundings`, quantities by
`wording`. `terminal` and `page` show it, `writing` puts it into files and `reading` takes it from
there, `comparing` sets two side by side, `conditions` fail a command.
"""
