"""Measures Streamscorer on this machine: everything as a ratio within one run, A and B taking turns.

How a case plugs in
-------------------
A module of this room holds one `CASE` and is named in `bench/catalogue.py`:

    CASE = Case("overhead", "what the stream costs when the engine answers at once", run)

    async def run(context: Context) -> AsyncGenerator[Result | Skipped, None]:
        room = await (await context.ground()).room()    # settings of a new topic, group and schema; `publish` fills it
        ratio = await compare(ours, bare, context.repetitions)
        raw = ratio.raw("ours", "bare")
        yield Result("stream / bare aiokafka", "", "ratio", ratio.ratios, Goal(at_least=0.4), raw=raw)

- `Case`, `Context`, `Result`, `Goal`: `bench/cases.py`. A case yields each `Result` as soon as it is known; it raises
  `Skipped(reason)` for what cannot be measured here (yields it for a part), and the report says so.
- `compare(a, b, repetitions)`: `bench/rounds.py`. `a(n)` and `b(n)` are coroutine functions that take the number of the
  round and return a rate (more is better); they run A B B A A B ..., each warmed up once.
- `context.images`: `bench/workload.py`; real JPEGs, no two alike. `fresh(image, n)` makes the same picture other bytes.
- `context.child(...)`: `bench/children.py`; a command of ours, or a module of this room, as a process that is never
  left behind. `pause()` and `resume()` hold it still while the other side has its turn.
- `load(url, bodies, concurrency)`: `bench/http_load.py`; the client for every HTTP service.
- `context.bare()`: `bench/bare.py`; the bare loop of decode and forward pass, waiting in a process of its own.
- `context.quick`: the smoke; take the least that still shows that the case works. `context.seconds`: about how long a
  round should take.

Figures that are no ratios (images/s, MB, ms) are printed and kept beside, and never compared between runs.
One case alone: `streamscorer bench NAME`.
"""
