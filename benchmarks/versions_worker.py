"""Runs the attention of the checkout that PYTHONPATH names, when asked; see `versions`.

It is run as a file, so that `benchmarks` and `bigbird_tf` are the checkout's. A request that names
a peer builds it and runs it once; an empty one runs it. The answer is how many seconds that took.
"""

import json
import sys
import time

from benchmarks.attention_peers import PEERS

run = None
for line in sys.stdin:
    request = json.loads(line)
    if request:
        run = PEERS[request["peer"]].build(request["length"], 1, request["dtype"], 1)[
            request["mode"]
        ]
        run()
    start = time.perf_counter()
    run()
    print(json.dumps(time.perf_counter() - start), flush=True)
